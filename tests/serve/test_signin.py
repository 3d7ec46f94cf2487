import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import argon2
import httpx
import pytest
from argon2.profiles import CHEAPEST

from sadari.agent.log.database import open_database
from sadari.errors import ConfigError
from sadari.serve import ServeOptions
from sadari.serve import people as people_module
from sadari.serve.gate import _client, _is_https
from sadari.serve.pages.signin import local_path
from sadari.serve.people import People
from sadari.serve.rates import FREE_BY_ADDRESS, FREE_BY_NAME

PASSWORD = "말 배터리 스테이플 correct"
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = argon2.PasswordHasher.from_parameters(CHEAPEST)
    monkeypatch.setattr(people_module, "_hasher", lambda: hasher)
    people_module._nobodys.cache_clear()


@pytest.fixture
def live(start: Any) -> Any:
    return begin(start)


def begin(start: Any, **options: Any) -> Any:
    live = start("네.", users={"root": "admin"}, **options)
    for user, role in (("kim", "user"), ("boss", "admin")):
        live.service.people.add(user, role, password=PASSWORD)
    return live


@pytest.fixture
def browser(live: Any) -> Iterator[httpx.Client]:
    with visitor(live) as client:
        yield client


def visitor(live: Any) -> httpx.Client:
    """What a browser sends from our own page."""
    own = {"Origin": live.url, "Sec-Fetch-Site": "same-origin"}
    return httpx.Client(base_url=live.url, trust_env=False, timeout=20, headers=own)


def sign_in(client: httpx.Client, user: str = "boss", password: str = PASSWORD, **more: Any) -> httpx.Response:
    return client.post("/signin", data={"user": user, "password": password}, **more)


def token(live: Any, client: httpx.Client) -> str:
    session = live.service.sessions.find(client.cookies["sadari_session"])
    assert session is not None
    return str(session.csrf)


def code_of(answer: httpx.Response) -> Any:
    return answer.json()["error"]["code"]


# --- in and out ----------------------------------------------------------------------------------------------------------


def test_a_person_signs_in_asks_and_signs_out(live: Any, browser: httpx.Client) -> None:
    assert browser.get("/sadari/runs").status_code == 401
    answer = sign_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/sadari/runs").status_code == 200
    body = {"model": "sadari", "messages": [{"role": "user", "content": "?"}]}
    asked = browser.post("/v1/chat/completions", json=body, headers={"X-CSRF-Token": token(live, browser)})
    assert asked.json()["choices"][0]["message"]["content"] == "네."
    assert [run.user for run in live.service.log.runs()] == ["boss"]
    kept = browser.cookies["sadari_session"]
    answer = browser.post("/signout", data={"csrf": token(live, browser)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
    assert "sadari_session" not in browser.cookies
    assert browser.get("/sadari/runs", headers={"Cookie": f"sadari_session={kept}"}).status_code == 401


def test_the_page_asks_in_the_language_of_its_reader(browser: httpx.Client) -> None:
    korean = browser.get("/signin", headers={"Accept-Language": "ko-KR,ko;q=0.9"}).text
    english = browser.get("/signin", headers={"Accept-Language": "en"}).text
    assert "비밀번호" in korean
    assert "Password" in english
    assert '<html lang="ko"' in korean


@pytest.mark.parametrize(("user", "password"), [("boss", "not the password"), ("nobody", PASSWORD), ("", ""), ("\x00", "\x00")])
def test_a_wrong_name_and_a_wrong_password_are_answered_the_same(browser: httpx.Client, user: str, password: str) -> None:
    refused = sign_in(browser, user, password)
    assert refused.status_code == 403
    assert "Name and password do not match" in refused.text
    assert not browser.cookies
    assert 'value="not the password"' not in refused.text


def test_what_was_typed_is_text_on_the_page(browser: httpx.Client) -> None:
    refused = sign_in(browser, '"><script>alert(1)</script>', "x")
    assert "<script>alert" not in refused.text
    assert "&lt;script&gt;" in refused.text


def test_guesses_are_told_to_wait(browser: httpx.Client) -> None:
    for _ in range(FREE_BY_NAME):
        assert sign_in(browser, "kim", "not the password").status_code == 403
    refused = sign_in(browser, "kim")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert sign_in(browser, "boss").status_code == 303


def test_where_nobody_is_asked_the_page_leads_on(start: Any) -> None:
    with visitor(start()) as client:
        answer = client.get("/signin?next=/runs")
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")


# --- the cookie ----------------------------------------------------------------------------------------------------------


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: httpx.Client) -> None:
    cookie = sign_in(browser).headers["set-cookie"]
    name, _, attributes = cookie.partition("=")
    assert name == "sadari_session"
    assert {part.strip() for part in attributes.split(";")[1:]} == {"HttpOnly", "Path=/", "SameSite=lax"}


def test_behind_a_proxy_that_speaks_tls_the_cookie_is_secure_and_of_this_host_alone(start: Any, tmp_path: Path) -> None:
    People(open_database(str(tmp_path / "log.sqlite"))).add("boss", "admin", password=PASSWORD)
    live = start("네.", proxies=("127.0.0.1",), hosts=("desk.example.com",))
    live.service.asks_keys = True
    told = {"Host": "desk.example.com", "X-Forwarded-Proto": "https", "Origin": "https://desk.example.com"}
    with httpx.Client(base_url=live.url, trust_env=False, headers=told) as client:
        cookie = sign_in(client).headers["set-cookie"]
        assert cookie.startswith("__Host-sadari_session=")
        assert {"Secure", "HttpOnly", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "domain" not in cookie.lower()
        sent = {"Cookie": cookie.partition(";")[0]}
        assert client.get("/sadari/runs", headers=sent).status_code == 200
        planted = {"Cookie": sent["Cookie"].removeprefix("__Host-")}
        assert client.get("/sadari/runs", headers=planted).status_code == 401


def test_with_a_certificate_of_our_own_it_is_too(start: Any, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    live = begin(start, certificate=certificate, private_key=key)
    place = f"https://127.0.0.1:{live.port}"
    with httpx.Client(base_url=place, trust_env=False, verify=False, headers={"Origin": place}) as client:
        answer = sign_in(client)
        assert answer.headers["set-cookie"].startswith("__Host-sadari_session=")
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert client.get("/sadari/runs").status_code == 200


def self_signed(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem = serialization.Encoding.PEM
    (folder / "tls.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    unencrypted = serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted))
    return folder / "tls.pem", folder / "tls.key"


def test_signing_in_never_takes_an_id_that_was_there_before(live: Any, browser: httpx.Client) -> None:
    browser.cookies.set("sadari_session", "A" * 43, domain="127.0.0.1", path="/")
    sign_in(browser)
    (first,) = [c.value for c in browser.cookies.jar if c.value != "A" * 43] or [""]
    assert first
    assert live.service.sessions.find("A" * 43) is None
    browser.cookies.clear()
    sign_in(browser, headers={"Cookie": f"sadari_session={first}"})
    assert browser.cookies["sadari_session"] != first
    assert live.service.sessions.find(first) is None  # whoever knew it is out


def test_a_cookie_that_was_planted_beside_ours_lets_nobody_in(live: Any, browser: httpx.Client) -> None:
    sign_in(browser)
    ours = browser.cookies["sadari_session"]
    with visitor(live) as other:
        sign_in(other, "kim")
        theirs = other.cookies["sadari_session"]
    browser.cookies.clear()
    for both in (f"sadari_session={ours}; sadari_session={theirs}", f"sadari_session={theirs}; sadari_session={ours}"):
        assert browser.get("/sadari/runs", headers={"Cookie": both}).status_code == 401


# --- requests that another page makes -------------------------------------------------------------------------------------


def test_every_route_that_changes_something_wants_what_only_our_pages_know(live: Any, browser: httpx.Client) -> None:
    sign_in(browser)
    paths = browser.get("/openapi.json").json()["paths"]
    changing = [(verb, path) for path, verbs in paths.items() for verb in verbs if verb not in ("get", "head")]
    answers = {(verb, path): browser.request(verb, path.replace("{", "").replace("}", ""), json={}) for verb, path in changing}
    assert len(changing) > 8
    assert {place for place, answer in answers.items() if (answer.status_code, code_of(answer)) != (403, "csrf")} == set()
    assert live.service.log.runs() == []


@pytest.mark.parametrize("wrong", ["", "0" * 64, "\xff" * 64, "x" * 10_000], ids=["empty", "zeros", "bytes", "long"])
def test_a_wrong_token_changes_nothing(live: Any, browser: httpx.Client, wrong: str) -> None:
    sign_in(browser)
    answer = browser.post("/sadari/keys", json={"user": "evil"}, headers={"X-CSRF-Token": wrong.encode("latin-1")})
    assert (answer.status_code, code_of(answer)) == (403, "csrf")
    assert [entry.identity.user for entry in live.service.keys.all()] == ["root"]


def test_the_token_of_another_session_is_none(live: Any, browser: httpx.Client) -> None:
    sign_in(browser)
    with visitor(live) as other:
        sign_in(other, "kim")
        foreign = token(live, other)
    made = browser.post("/sadari/keys", json={"user": "evil"}, headers={"X-CSRF-Token": foreign})
    assert made.status_code == 403
    made = browser.post("/sadari/keys", json={"user": "park"}, headers={"X-CSRF-Token": token(live, browser)})
    assert made.status_code == 200


def test_a_key_needs_no_token_and_is_not_mixed_with_a_session(live: Any, browser: httpx.Client) -> None:
    sign_in(browser)
    with live.http("root") as root:
        assert root.post("/sadari/keys", json={"user": "park"}).status_code == 200
    wrong = browser.get("/sadari/runs", headers={"Authorization": "Bearer sk-sadari-0123456789ab-" + "A" * 43})
    assert wrong.status_code == 401


def test_a_form_of_another_page_signs_nobody_in(start: Any) -> None:
    live = begin(start, origins=("https://partner.example",))
    foreign: list[dict[str, str]] = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://partner.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": live.url, "Sec-Fetch-Site": "cross-site"},
        *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none")),
        {},
    ]
    for sent in foreign:
        with httpx.Client(base_url=live.url, trust_env=False, headers=sent) as client:
            assert sign_in(client).status_code == 403, sent
            assert not client.cookies
    with visitor(live) as own:
        assert sign_in(own).status_code == 303


def test_signing_out_needs_the_session_s_own_token(live: Any, browser: httpx.Client) -> None:
    sign_in(browser)
    assert browser.post("/signout", data={"csrf": "0" * 64}).status_code == 403
    assert browser.post("/signout").status_code == 403
    assert browser.get("/signout").status_code == 405
    assert browser.get("/sadari/runs").status_code == 200


# --- where it leads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/", "/runs?a=1&b=%2F", "/approvals#now", "/대화?q=가 나".replace(" ", "+")])
def test_one_comes_back_to_the_page_that_was_asked_for(place: str) -> None:
    assert local_path(place) == place


@pytest.mark.parametrize(
    "place",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
        " /",
        "/a\\b",
        "/a\r\nSet-Cookie: x=y",
        "/signin",
        "/signout",
        "/signin/oidc/start",
        "/" + "x" * 3_000,
        "/" + "가" * 300,
    ],
)
def test_nobody_is_sent_elsewhere(place: str) -> None:
    assert local_path(place) == "/"


def test_the_page_itself_sends_nobody_elsewhere(live: Any, browser: httpx.Client) -> None:
    for place, leads in (("//evil.example", "/"), ("/\\evil.example", "/"), ("/\t/evil.example", "/"), ("/runs?a=1", "/runs?a=1")):
        assert browser.get("/signin", params={"next": place}).text.count(f'name="next" value="{leads}"') == 1
        with visitor(live) as client:
            answer = client.post("/signin", data={"user": "boss", "password": PASSWORD, "next": place})
            assert answer.headers["location"] == leads
            assert client.get("/signin", params={"next": place}).headers["location"] == leads


# --- what changes while one is signed in ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"disabled": True}, {"role": "user"}, {"password": "another one altogether"}], ids=["disabled", "role", "password"]
)
def test_a_session_ends_with_what_it_stood_on(live: Any, browser: httpx.Client, change: Any) -> None:
    sign_in(browser)
    assert browser.get("/sadari/keys").status_code == 200
    live.service.people.change("boss", **change)
    assert browser.get("/sadari/keys").status_code == 401


def test_whoever_is_disabled_has_no_key_either(live: Any) -> None:
    live.service.people.add("root", "admin", password=PASSWORD)
    with live.http("root") as root:
        assert root.get("/sadari/runs").status_code == 200
        live.service.people.change("root", disabled=True)
        assert root.get("/sadari/runs").status_code == 401


# --- proxies and odd requests ------------------------------------------------------------------------------------------------


def scope(peer: str, **headers: str) -> tuple[Any, Any]:
    from starlette.datastructures import Headers

    return {"client": (peer, 1), "scheme": "http"}, Headers({name.replace("_", "-"): text for name, text in headers.items()})


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("203.0.113.9", "10.9.9.9", "203.0.113.9"),  # nobody's proxy: it is not believed
        ("10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.7", "10.9.9.9, 203.0.113.9", "203.0.113.9"),  # what the client itself claims stands left
        ("10.0.0.7", "10.9.9.9, 203.0.113.9, 10.0.0.8", "203.0.113.9"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("10.0.0.7", "203.0.113.9, ", "10.0.0.7"),
    ],
)
def test_the_client_is_the_last_address_that_a_believed_proxy_names(peer: str, told: str, client: str) -> None:
    options = ServeOptions(proxies=("10.0.0.0/24",))
    assert _client(*scope(peer, x_forwarded_for=told), options) == client


def test_https_is_what_a_believed_proxy_says() -> None:
    options = ServeOptions(proxies=("10.0.0.7",))
    assert _is_https(*scope("10.0.0.7", x_forwarded_proto="https"), options)
    assert not _is_https(*scope("10.0.0.7", x_forwarded_proto="https, http"), options)
    assert not _is_https(*scope("203.0.113.9", x_forwarded_proto="https"), options)


def test_an_address_that_was_made_up_is_no_way_around_the_wait(live: Any, browser: httpx.Client) -> None:
    for i in range(FREE_BY_ADDRESS):
        sign_in(browser, f"user{i}", "not the password", headers={"X-Forwarded-For": f"10.0.0.{i}"})
    assert sign_in(browser, headers={"X-Forwarded-For": "10.0.1.1"}).status_code == 429


def test_a_server_behind_a_proxy_is_not_open(start: Any) -> None:
    with pytest.raises(ConfigError, match="proxy"):
        start(proxies=("127.0.0.1",))


def test_a_request_whose_end_is_told_twice_is_refused(live: Any) -> None:
    head = b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    smuggled = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", live.port), 5) as raw:
        raw.sendall(head + smuggled)
        assert raw.recv(4_000).split(b" ")[1] == b"400"


def test_nothing_but_the_own_files_is_fetched(live: Any) -> None:
    for name in ("../look.py", "..%2flook.py", "%2e%2e/look.py", "..\\look.py", "/etc/passwd", "%2fetc%2fpasswd", ".", "a%00b"):
        with socket.create_connection(("127.0.0.1", live.port), 5) as raw:
            raw.sendall(f"GET /static/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: raw.recv(65_536), b""))
        assert answer.split(b" ")[1] in (b"404", b"400"), name
        assert b"import" not in answer
        assert b"root:" not in answer


# --- in a real browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        yield running.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_a_person_signs_in_with_the_keyboard_alone(live: Any, chromium: Any, scripts: bool) -> None:
    page = chromium.new_context(java_script_enabled=scripts, locale="ko-KR").new_page()
    page.goto(f"{live.url}/signin?next=/healthz")
    page.keyboard.type("boss")  # the field has the focus
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    page.get_by_label("비밀번호").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/healthz")
    assert [cookie["httpOnly"] for cookie in page.context.cookies() if cookie["name"] == "sadari_session"] == [True]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_the_page(live: Any, chromium: Any, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = chromium.new_context(color_scheme=theme, locale="ko-KR").new_page()
    page.goto(f"{live.url}/signin")
    page.get_by_label("아이디").fill("boss")
    page.get_by_label("비밀번호").fill("not the password")
    page.get_by_role("button", name="로그인", exact=True).click()
    page.get_by_role("alert").wait_for()
    assert [one["id"] for one in axe.run(page).response["violations"]] == []
