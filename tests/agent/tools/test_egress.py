import gzip
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadari.egress import Ask, Caps, Egress, EgressError, is_public, parse_address, send
from sadari.egress import client as module
from web_servers import listening, names, response


def to(port: int, *, host: str = "127.0.0.1") -> Egress:
    return Egress((), (f"http://{host}:{port}",), resolve=names(a_example=["127.0.0.1"], b_example=["127.0.0.1"]))


def fault_of(ask: Ask, egress: Egress, caps: Caps | None = None) -> EgressError:
    with pytest.raises(EgressError) as caught:
        send(ask, egress, caps or Caps())
    return caught.value


# --- addresses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://Docs.Example./a?b=1#c", "https://docs.example/a?b=1"),
        ("http://docs.example:80", "http://docs.example/"),
        ("https://docs.example:8443/", "https://docs.example:8443/"),
        ("https://한국.kr/사다리?물음=답", "https://xn--3e0b707e.kr/%EC%82%AC%EB%8B%A4%EB%A6%AC?%EB%AC%BC%EC%9D%8C=%EB%8B%B5"),
        ("https://ｄｏｃｓ。example/%41%zz", "https://docs.example/%41%zz"),
        ("https://[2606:4700:0000::1111]:443/", "https://[2606:4700::1111]/"),
        ("  https://8.8.8.8/\n", "https://8.8.8.8/"),
    ],
)
def test_an_address_has_one_spelling(written: str, meant: str) -> None:
    assert str(parse_address(written)) == meant


@given(st.sampled_from(["http://", "https://", "HTTP:", ""]), st.text("a.1/:@[]%\\?#é가аx-_ ０。①\u00ad\u200bf", max_size=16))
def test_reading_an_address_again_changes_nothing(scheme: str, rest: str) -> None:
    try:
        address = parse_address(scheme + rest)
    except EgressError:
        return
    assert parse_address(str(address)) == address
    assert str(address).isascii()
    assert not address.is_literal or isinstance(is_public(address.host), bool)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2001:200::1"],
)
def test_public_addresses_are_known(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.1.2.3", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255"),
        *("192.168.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "168.63.129.16", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fec0::1", "ff02::1", "::127.0.0.1"),
        *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "2002:7f00:1::", "2001:0:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"),
        *("2001:db8::1", "3fff::1", "100::1"),
    ],
)
def test_addresses_that_are_not_public_are_known(address: str) -> None:
    assert not is_public(address)


# --- the way out --------------------------------------------------------------------------------------------------------


def test_a_request_says_the_name_and_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(response(b"proxy")) as proxy, listening(response(b"hello", content_type="text/plain")) as server:
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        reply = send(Ask(f"http://a.example:{server.port}/x?y=1", headers={"X-Key": "k"}), to(server.port, host="a.example"))
    assert (reply.status, reply.body, reply.type) == (200, b"hello", "text/plain")
    assert proxy.connections == 0
    assert server.requests[0].decode().splitlines()[:2] == ["GET /x?y=1 HTTP/1.1", f"Host: a.example:{server.port}"]
    assert b"X-Key: k" in server.requests[0]


def test_a_name_is_looked_up_once_and_the_checked_address_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Iterator[list[str]] = iter([["93.184.216.34"], ["127.0.0.1"]])  # what a rebinding name server says
    tried: list[str] = []

    def refuse(found: list[str], port: int, clock: object) -> socket.socket:
        tried.extend(found)
        raise ConnectionRefusedError("no network in a test")

    monkeypatch.setattr(module, "_opened", refuse)
    error = fault_of(Ask("http://a.example/"), Egress(resolve=lambda host, port: next(answers)))
    assert error.fault == "network"
    assert tried == ["93.184.216.34"]
    assert next(answers) == ["127.0.0.1"]  # was not asked for


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    error = fault_of(Ask("https://a.example/"), Egress(resolve=names(a_example=["93.184.216.34", "::1"])))
    assert (error.fault, error.was_sent) == ("private", False)


def test_an_inside_origin_is_that_scheme_host_and_port_alone() -> None:
    with listening(response(b"x")) as server:
        egress = to(server.port)
        assert send(Ask(f"http://127.0.0.1:{server.port}/"), egress).status == 200
        other = [f"http://127.0.0.1:{server.port + 1}/", f"http://a.example:{server.port}/", f"https://127.0.0.1:{server.port}/"]
        assert [fault_of(Ask(address), egress).fault for address in other] == ["host"] * 3
    assert server.connections == 1


def test_allowed_hosts_are_met_whole_or_below_a_star() -> None:
    egress = Egress(("docs.example", "*.gov.example"))
    for allowed in ("https://docs.example/", "https://a.gov.example/", "https://a.b.gov.example./"):
        egress.check(parse_address(allowed))
    for other in ("https://xdocs.example/", "https://a.docs.example/", "https://gov.example/", "https://evilgov.example/"):
        with pytest.raises(EgressError, match="is not allowed"):
            egress.check(parse_address(other))


def test_a_redirect_is_checked_and_takes_no_header_to_another_origin() -> None:
    with listening(response(b"end")) as end:
        away = response(status="302 Found", location=f"http://b.example:{end.port}/end")
        with listening(away) as start:
            ask = Ask(f"http://a.example:{start.port}/", headers={"Authorization": "Bearer s3cret"})
            resolve = names(a_example=["127.0.0.1"], b_example=["127.0.0.1"])
            both = (f"http://a.example:{start.port}", f"http://b.example:{end.port}")
            reply = send(ask, Egress((), both, resolve=resolve))
            error = fault_of(ask, Egress((), both[:1], resolve=resolve))
    assert (reply.body, str(reply.address)) == (b"end", f"http://b.example:{end.port}/end")
    assert b"s3cret" in start.requests[0]
    assert b"s3cret" not in end.requests[0]
    assert error.fault == "host"
    assert end.connections == 1


def test_redirects_end() -> None:
    with listening(response(status="301 Moved", location="/again")) as server:
        error = fault_of(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port), Caps(redirects=2))
    assert (error.fault, server.connections) == ("redirect", 3)


def test_a_redirect_of_a_post_is_not_followed() -> None:
    with listening(response(status="307 Temporary", location="/other")) as server:
        assert send(Ask(f"http://127.0.0.1:{server.port}/", "POST", body=b"{}"), to(server.port)).status == 307
    assert server.connections == 1


def test_https_does_not_lead_to_http() -> None:
    reply = module.Reply(302, "", {"location": "http://docs.example/"}, b"", parse_address("https://docs.example/"))
    with pytest.raises(EgressError, match="from https to http"):
        module._onward(reply)


def test_cookies_are_not_kept() -> None:
    def answer(request: bytes) -> list[bytes]:
        if b"GET /a" in request:
            return [response(status="302 Found", location="/b", set_cookie="id=1")]
        return [response(b"end")]

    with listening(answer) as server:
        send(Ask(f"http://127.0.0.1:{server.port}/a"), to(server.port))
    assert not any(b"cookie" in request.lower() for request in server.requests)


# --- what an answer may cost --------------------------------------------------------------------------------------------


def test_a_page_that_says_it_is_too_large_is_not_read() -> None:
    with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n") as server:
        assert fault_of(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port), Caps(size=1000)).fault == "size"


def test_a_page_without_end_is_given_up() -> None:
    def endless(request: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield b"x" * 10_000

    with listening(endless) as server:
        assert fault_of(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port), Caps(size=50_000)).fault == "size"


def test_a_packed_page_is_unpacked_up_to_the_limit() -> None:
    small, bomb = gzip.compress("안녕".encode(), mtime=0), gzip.compress(bytes(20_000_000))
    with listening(response(small, content_encoding="gzip")) as server:
        assert send(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port)).body.decode() == "안녕"
    with listening(response(bomb, content_encoding="gzip")) as server:
        started = time.monotonic()
        error = fault_of(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port), Caps(size=100_000))
    assert error.fault == "size"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("packing", ["br", "deflate", "gzip, gzip"])
def test_other_packings_are_refused(packing: str) -> None:
    with listening(response(b"x", content_encoding=packing)) as server:
        assert fault_of(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port)).fault == "type"


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),  # headers, one at a time
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),  # the body, a byte at a time
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),  # "go on", for ever
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
def test_a_server_that_drips_is_given_up_in_time(pieces: tuple[bytes, bytes]) -> None:
    def drip(request: bytes) -> Iterator[bytes]:
        yield pieces[0]
        while True:
            time.sleep(0.05)
            yield pieces[1]

    with listening(drip) as server:
        started = time.monotonic()
        error = fault_of(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port), Caps(seconds=0.4))
    assert (error.fault, error.was_sent) == ("slow", True)
    assert time.monotonic() - started < 1


def test_a_name_server_that_never_answers_is_given_up_in_time() -> None:
    def slow(host: str, port: int) -> list[str]:
        time.sleep(3)
        return ["127.0.0.1"]

    started = time.monotonic()
    error = fault_of(Ask("http://a.example/"), Egress(resolve=slow), Caps(seconds=0.2))
    assert (error.fault, error.was_sent) == ("slow", False)
    assert time.monotonic() - started < 1


def test_other_types_are_refused_before_they_are_read() -> None:
    with listening(response(b"\x00" * 100, content_type="video/mp4")) as server:
        error = fault_of(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port), Caps(types=("text/",)))
    assert (error.fault, error.about) == ("type", "video/mp4")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nx",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        response(gzip.compress(b"x" * 1000, mtime=0)[:-10], content_encoding="gzip"),
        response(b"not packed", content_encoding="gzip"),
        b"",
    ],
)
def test_a_damaged_answer_is_an_error(answer: bytes) -> None:
    with listening(answer) as server:
        error = fault_of(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port))
    assert (error.fault, error.was_sent) == ("network", True)


@pytest.mark.parametrize(
    "headers",
    [{"X-Key": "s3cret\r\nHost: evil"}, {"X: a\r\nY": "s3cret"}, {"Host": "s3cret"}, {"Cookie": "s3cret"}, {"X": "s3cret\ud800"}],
)
def test_headers_that_would_say_more_are_refused_without_being_shown(headers: dict[str, str]) -> None:
    error = fault_of(Ask("http://127.0.0.1:9/", headers=headers), to(9))
    assert "cannot be sent" in str(error)
    assert "s3cret" not in str(error)
    assert "s3cret" not in repr(Ask("http://127.0.0.1:9/", headers=headers))


def test_a_closed_port_was_sent_nothing() -> None:
    with listening(b"") as server:
        pass
    assert not fault_of(Ask(f"http://127.0.0.1:{server.port}/"), to(server.port)).was_sent


# --- names proved by certificates ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for a.example, signed by itself, and its key in one file."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example")])
    days = [datetime.now(UTC) + timedelta(days=days) for days in (-1, 1)]
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), *days)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = serialization.Encoding.PEM
    file = tmp_path_factory.mktemp("tls") / "a.pem"
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem) + secret)
    return file


def test_a_server_proves_the_name_and_not_the_address(certificate: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    called: list[str | None] = []
    tls.sni_callback = lambda line, name, context: called.append(name)
    with listening(response(b"safe"), tls) as server:
        names_known = names(a_example=["127.0.0.1"], b_example=["127.0.0.1"])
        origins = tuple(f"https://{host}:{server.port}" for host in ("a.example", "b.example", "127.0.0.1"))
        trusting = Egress((), origins, resolve=names_known, authority=str(certificate))
        assert send(Ask(f"{origins[0]}/"), trusting).body == b"safe"
        assert server.requests[0].startswith(f"GET / HTTP/1.1\r\nHost: a.example:{server.port}\r\n".encode())
        for origin in origins[1:]:
            assert "certificate verify failed" in str(fault_of(Ask(origin), trusting))
        assert "certificate verify failed" in str(fault_of(Ask(origins[0]), Egress((), origins, resolve=names_known)))
    assert called == ["a.example", "b.example", None, "a.example"]
    assert len(server.requests) == 1
