"""Signing in with a provider, against a double that can be told to lie."""

import base64
import hashlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI, Form, Header
from fastapi.responses import JSONResponse, RedirectResponse, Response

from sadari.errors import ConfigError
from sadari.serve import ServeOptions
from sadari.serve.faults import ApiError
from sadari.serve.oidc import Provider
from sadari.serve.options import OidcOptions
from sadari.serve.rates import FREE_BY_ADDRESS

CLIENT, SECRET = "sadari", "a secret: with/odd signs"
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
SHORT = rsa.generate_private_key(65537, 1024)
CURVE = ec.generate_private_key(ec.SECP256R1())

Change = Callable[[dict[str, Any]], Any]


@dataclass
class Double:
    """A provider. What its fields say differently, it does differently."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "42", "preferred_username": "kim"})
    change: Change = lambda claims: None
    sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(claims, RSA, "RS256", {"kid": "one"})
    described: dict[str, Any] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    forgives: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def description(self) -> dict[str, Any]:
        own = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return {"issuer": self.issuer} | {name: self.issuer + path for name, path in own.items()} | self.described

    def keys(self) -> list[dict[str, Any]]:
        public = [(RSA, "one", jwt.algorithms.RSAAlgorithm), (SHORT, "short", jwt.algorithms.RSAAlgorithm)]
        return [
            json.loads(kind.to_jwk(key.public_key())) | {"kid": name, "use": "sig"}
            for key, name, kind in (*public, (CURVE, "curve", jwt.algorithms.ECAlgorithm))
        ]

    def token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce} | self.claims
        self.change(claims)
        return self.sign(claims)


def app_of(double: Double) -> FastAPI:
    app = FastAPI()

    @app.get("/.well-known/openid-configuration")
    def describe() -> Any:
        double.asked.append("description")
        return double.description()

    @app.get("/keys")
    def keys() -> Any:
        double.asked.append("keys")
        return {"keys": double.keys()}

    @app.get("/authorize")
    def authorize(
        client_id: str, redirect_uri: str, state: str, nonce: str, code_challenge: str, code_challenge_method: str, scope: str
    ) -> Response:
        assert (client_id, code_challenge_method) == (CLIENT, "S256")
        assert "openid" in scope.split()
        code = secrets.token_urlsafe(16)
        double.codes[code] = {"nonce": nonce, "challenge": code_challenge, "redirect": redirect_uri}
        told = {"code": code, "state": state} | double.told
        return RedirectResponse(f"{redirect_uri}?{httpx.QueryParams(told)}")

    @app.post("/token")
    def token(
        code: Annotated[str, Form()],
        redirect_uri: Annotated[str, Form()],
        code_verifier: Annotated[str, Form()],
        authorization: Annotated[str, Header()] = "",
    ) -> Response:
        double.asked.append("token")
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        known = double.codes.get(code) if double.forgives else double.codes.pop(code, None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
        is_right = known is not None and (known["challenge"], known["redirect"]) == (challenge, redirect_uri)
        if known is None or not is_right or pair != "sadari:a+secret%3A+with%2Fodd+signs":
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"id_token": double.token(known["nonce"]), "access_token": "x", "token_type": "Bearer"})

    return app


@pytest.fixture
def double() -> Iterator[Double]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Double(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(app_of(made), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield made
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(SECRET + "\n")
    return tmp_path / "secret"


def options_of(double: Double, secret_file: Path, **more: Any) -> OidcOptions:
    return OidcOptions(issuer=double.issuer, client_id=CLIENT, client_secret_file=secret_file, **more)


@pytest.fixture
def live(start: Any, double: Double, secret_file: Path) -> Any:
    live = start("네.", oidc=options_of(double, secret_file))
    live.service.asks_keys = True
    return live


def visitor(live: Any) -> httpx.Client:
    return httpx.Client(base_url=live.url, trust_env=False, timeout=20)


def go(client: httpx.Client, place: str = "/") -> httpx.Response:
    """To the provider and back; what the server says then."""
    return client.get(back(client, place))


def back(client: httpx.Client, place: str = "/") -> str:
    """The address that the provider sends the browser back to."""
    there = client.get("/signin/oidc/start", params={"next": place}).headers["location"]
    return httpx.get(there, trust_env=False).headers["location"]


# --- as it should be -----------------------------------------------------------------------------------------------------


def test_a_person_comes_from_the_provider_and_goes_on_where_it_began(live: Any) -> None:
    with visitor(live) as client:
        answer = go(client, "/runs?a=1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/runs?a=1")
        assert client.get("/sadari/runs").status_code == 200
        assert set(client.cookies) == {"sadari_session"}
    (person,) = live.service.people.all()
    assert (person.user, person.role, person.has_password) == ("kim", "user", False)


def test_what_is_sent_to_the_provider_tells_no_secret_of_the_browser(live: Any) -> None:
    with visitor(live) as client:
        there = client.get("/signin/oidc/start").headers["location"]
        kept = client.cookies["sadari_oidc"].partition(".")[0]
    asked = parse_qs(urlsplit(there).query)
    assert asked["redirect_uri"] == [f"{live.url}/signin/oidc"]
    assert kept not in there
    assert len({asked[name][0] for name in ("state", "nonce", "code_challenge")}) == 3


def test_the_button_is_on_the_page(live: Any) -> None:
    with visitor(live) as client:
        page = client.get("/signin?next=/runs", headers={"Accept-Language": "en"}).text
    assert 'href="/signin/oidc/start?next=/runs"' in page
    assert "Sign in with 127.0.0.1" in page
    assert 'name="password"' not in page  # nobody has one


@pytest.mark.parametrize(("algorithm", "key", "name"), [("RS256", RSA, "one"), ("PS256", RSA, "one"), ("ES256", CURVE, "curve")])
def test_three_signatures_are_known(live: Any, double: Double, algorithm: str, key: Any, name: str) -> None:
    double.sign = lambda claims: jwt.encode(claims, key, algorithm, {"kid": name})
    with visitor(live) as client:
        assert go(client).status_code == 303


def test_the_provider_is_asked_what_it_is_once(live: Any, double: Double) -> None:
    for _ in range(3):
        with visitor(live) as client:
            assert go(client).status_code == 303
    assert sorted(double.asked) == ["description", "keys", "token", "token", "token"]


def test_groups_become_a_role_and_labels(start: Any, double: Double, secret_file: Path) -> None:
    mapping = {"roles": {"desk-lead": "approver", "desk": "user"}, "labels": {"hr": "인사"}, "role": None}
    live = start("네.", oidc=options_of(double, secret_file, groups_claim="realm_access.roles", **mapping))
    live.service.asks_keys = True
    double.claims |= {"realm_access": {"roles": ["desk", "hr", "desk-lead", 7]}}
    with visitor(live) as client:
        assert go(client).status_code == 303
        (person,) = live.service.people.all()
        assert (person.role, person.labels) == ("approver", ("인사",))
        double.claims |= {"realm_access": {"roles": ["desk"]}}
        with visitor(live) as again:
            assert go(again).status_code == 303
        assert client.get("/sadari/runs").status_code == 401  # another role, another session
        (person,) = live.service.people.all()
        assert (person.role, person.labels) == ("user", ())
        double.claims |= {"realm_access": {"roles": ["sales"]}}
        with visitor(live) as without:
            assert go(without).status_code == 403


def test_a_role_that_was_given_here_stays_where_the_provider_tells_none(live: Any) -> None:
    live.service.people.add("kim", "operator", ("인사",))
    with visitor(live) as client:
        assert go(client).status_code == 303
        assert client.get("/metrics").status_code == 200


# --- attacks ---------------------------------------------------------------------------------------------------------------


def as_one(claims: dict[str, Any], key: Any, algorithm: str | None, name: str = "one") -> str:
    return jwt.encode(claims, key, algorithm, {"kid": name})


def with_public_key(claims: dict[str, Any]) -> str:
    """HS256 with what everybody knows of the issuer's key: PyJWT itself does not make it."""
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [json.dumps({"alg": "HS256", "typ": "JWT", "kid": "one"}).encode(), json.dumps(claims).encode()]
    said = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    import hmac

    return (said + b"." + base64.urlsafe_b64encode(hmac.digest(pem, said, "sha256")).rstrip(b"=")).decode()


def altered(claims: dict[str, Any]) -> str:
    head, _, signature = as_one(claims, RSA, "RS256").split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims | {"preferred_username": "root"}).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


def drop(name: str) -> Change:
    return lambda claims: claims.pop(name)


def put(**told: Any) -> Change:
    return lambda claims: claims.update(told)


NOW = int(time.time())
LIES: dict[str, Change] = {
    "nonce of another sign-in": put(nonce="x" * 43),
    "no nonce": drop("nonce"),
    "nonce that is no text": put(nonce=None),
    "another audience": put(aud="another-client"),
    "several audiences without a party": put(aud=[CLIENT, "another-client"]),
    "another party": put(azp="another-client"),
    "several audiences and another party": put(aud=[CLIENT, "another-client"], azp="another-client"),
    "no audience": drop("aud"),
    "another issuer": put(iss="https://evil.example"),
    "no issuer": drop("iss"),
    "expired": put(exp=NOW - 3_600),
    "no expiry": drop("exp"),
    "expiry that is no number": put(exp="tomorrow"),
    "made tomorrow": put(iat=NOW + 86_400),
    "no time": drop("iat"),
    "not before tomorrow": put(nbf=NOW + 86_400),
    "no subject": drop("sub"),
    "subject that is no text": put(sub=42),
    "empty subject": put(sub=""),
    "no name": drop("preferred_username"),
    "name that is no text": put(preferred_username=["kim"]),
    "name that is none here": put(preferred_username="a b"),
}
FORGED: dict[str, Callable[[dict[str, Any]], str]] = {
    "none": lambda claims: as_one(claims, None, "none"),
    "HS256 with the public key": with_public_key,
    "HS256 with the secret of the client": lambda claims: as_one(claims, SECRET * 2, "HS256"),
    "RS512": lambda claims: as_one(claims, RSA, "RS512"),
    "another key": lambda claims: as_one(claims, OTHER, "RS256"),
    "unknown key": lambda claims: as_one(claims, OTHER, "RS256", "unknown"),
    "key that is too short": lambda claims: as_one(claims, SHORT, "RS256", "short"),
    "key of another kind": lambda claims: as_one(claims, RSA, "RS256", "curve"),
    "altered": altered,
    "no token": lambda claims: "a.b.c",
    "empty": lambda claims: "",
    "deep": lambda claims: base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".e30.e30",
}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_token_lets_nobody_in(live: Any, double: Double, forgery: str) -> None:
    double.sign = FORGED[forgery]
    refused_and_unknown(live)


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_is_not_meant_for_this_sign_in_lets_nobody_in(live: Any, double: Double, lie: str) -> None:
    double.change = LIES[lie]
    refused_and_unknown(live)


def refused_and_unknown(live: Any) -> None:
    with visitor(live) as client:
        answer = go(client)
        assert answer.status_code == 403
        assert "sadari_session" not in client.cookies
    assert live.service.people.all() == []


def test_the_state_of_another_browser_lets_nobody_in(live: Any) -> None:
    with visitor(live) as attacker, visitor(live) as victim:
        address = back(attacker)  # the attacker's own sign-in, sent to the victim as a link
        assert victim.get(address).status_code == 403
        victim.get("/signin/oidc/start")
        assert victim.get(address).status_code == 403
        assert "sadari_session" not in victim.cookies


@pytest.mark.parametrize("forgives", [False, True], ids=["strict", "lax"])
def test_an_answer_is_taken_once_even_if_the_provider_would_take_its_code_again(live: Any, double: Double, forgives: bool) -> None:
    double.forgives = forgives
    with visitor(live) as client:
        address = back(client)
        kept = client.cookies["sadari_oidc"]
        assert client.get(address).status_code == 303
        with visitor(live) as again:
            assert again.get(address, headers={"Cookie": f"sadari_oidc={kept}"}).status_code == 403


def test_the_code_of_another_sign_in_lets_nobody_in(live: Any) -> None:
    with visitor(live) as attacker, visitor(live) as victim:
        stolen = parse_qs(urlsplit(back(victim)).query)["code"][0]
        own = httpx.URL(back(attacker)).copy_set_param("code", stolen)
        assert attacker.get(own).status_code == 403  # its verifier is the victim's
        assert live.service.people.all() == []


@pytest.mark.parametrize("told", [{"iss": "https://evil.example"}, {"iss": ""}], ids=["another", "empty"])
def test_the_answer_of_another_issuer_is_not_taken(live: Any, double: Double, told: dict[str, str]) -> None:
    double.told = told
    refused_and_unknown(live)
    assert "token" not in double.asked  # its code is not sent to anybody


def test_an_issuer_that_names_itself_has_to(live: Any, double: Double) -> None:
    double.described = {"authorization_response_iss_parameter_supported": True}
    refused_and_unknown(live)
    double.told = {"iss": double.issuer}
    with visitor(live) as client:
        assert go(client).status_code == 303


def test_a_refusal_of_the_provider_is_told_without_its_words(live: Any, double: Double) -> None:
    double.told = {"code": "", "error": "access_denied", "error_description": "<b>boo</b>"}
    with visitor(live) as client:
        answer = go(client)
    assert answer.status_code == 403
    assert "boo" not in answer.text


def test_a_name_that_is_somebody_else_s_is_not_taken_over(live: Any, double: Double) -> None:
    live.service.people.add("root", "admin", password="a password of a dozen words")
    double.claims |= {"preferred_username": "root"}
    with visitor(live) as client:
        assert go(client).status_code == 403
    double.claims |= {"preferred_username": "kim"}
    with visitor(live) as client:
        assert go(client).status_code == 303
    double.claims |= {"sub": "43"}  # the name was given to another person
    with visitor(live) as client:
        assert go(client).status_code == 403


def test_failures_keep_one_place_waiting_and_nobody_else(live: Any) -> None:
    for _ in range(FREE_BY_ADDRESS):
        live.service.attempts.begin("", "203.0.113.9")
    with visitor(live) as client:
        for _ in range(FREE_BY_ADDRESS):
            assert client.get("/signin/oidc?state=x&code=y").status_code == 403
        assert go(client).status_code == 429
    live.service.attempts.begin("", "203.0.113.10")


def test_somebody_who_is_disabled_is_not_let_in_by_the_provider(live: Any) -> None:
    live.service.people.add("kim")
    live.service.people.change("kim", disabled=True)
    with visitor(live) as client:
        assert go(client).status_code == 403


def test_an_address_counts_only_where_the_provider_verified_it(start: Any, double: Double, secret_file: Path) -> None:
    live = start("네.", oidc=options_of(double, secret_file, user_claim="email"))
    for verified, status in ((False, 403), ("true", 403), (True, 303)):
        double.claims |= {"email": "kim@example.com", "email_verified": verified}
        with visitor(live) as client:
            assert go(client).status_code == status


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://10.0.0.7/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "https://user@evil.example/keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
    ids=lambda described: "-".join(map(str, described)),
)
def test_a_provider_that_describes_another_is_not_asked(live: Any, double: Double, described: dict[str, Any]) -> None:
    double.described = described
    with visitor(live) as client:
        answer = client.get("/signin/oidc/start")
    assert answer.status_code == 502
    assert "sadari_oidc" not in answer.headers.get("set-cookie", "")
    assert double.asked == ["description"]


def test_addresses_inside_are_asked_only_if_they_are_set(double: Double, secret_file: Path) -> None:
    double.described = {"token_endpoint": "https://127.0.0.1:1/token"}
    with pytest.raises(ApiError) as refused:
        Provider(options_of(double, secret_file)).begin("x" * 43, "http://localhost/signin/oidc")
    assert refused.value.status == 502
    allowed = Provider(options_of(double, secret_file, inside=("https://127.0.0.1:1",)))
    assert allowed.begin("x" * 43, "http://localhost/signin/oidc").startswith(double.issuer)


def test_a_provider_that_does_not_answer_is_left_alone_for_a_moment(double: Double, secret_file: Path) -> None:
    double.described = {"issuer": "x"}
    provider = Provider(options_of(double, secret_file))
    for _ in range(3):
        with pytest.raises(ApiError, match="cannot be asked"):
            provider.begin("x" * 43, "http://localhost/signin/oidc")
    assert double.asked == ["description"]


@pytest.mark.parametrize(
    ("options", "helps"),
    [
        ({"issuer": "http://login.example.com"}, "https"),
        ({"issuer": "login.example.com"}, "whole address"),
        ({"client_secret_env": "SADARI_NO_SUCH_VARIABLE"}, "SADARI_NO_SUCH_VARIABLE"),
        ({"client_secret_file": Path("/no/such/file")}, "cannot be read"),
    ],
    ids=["http", "host", "variable", "file"],
)
def test_wrong_settings_are_told_at_the_start(options: dict[str, Any], helps: str) -> None:
    with pytest.raises(ConfigError, match=helps):
        Provider(OidcOptions(**{"issuer": "https://login.example.com", "client_id": CLIENT} | options))


def test_two_secrets_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="give one"):
        ServeOptions(oidc={"issuer": "x", "client_id": "x", "client_secret_env": "A", "client_secret_file": "b"})  # type: ignore[arg-type]


def test_without_a_provider_there_are_no_such_pages(start: Any) -> None:
    live = start("네.")
    with visitor(live) as client:
        assert client.get("/signin/oidc").status_code == 404
        assert client.get("/signin/oidc/start").status_code == 404


def test_a_browser_goes_to_another_site_and_comes_back_signed_in(start: Any, double: Double, secret_file: Path) -> None:
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("Chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    double.issuer = double.issuer.replace("127.0.0.1", "localhost")  # another site than 127.0.0.1, as browsers see it
    live = start("네.", oidc=options_of(double, secret_file, title="Desk"))
    live.service.asks_keys = True
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(locale="en-GB").new_page()
        page.goto(f"{live.url}/signin?next=/healthz")
        page.get_by_role("link", name="Sign in with Desk").click()
        page.wait_for_url(f"{live.url}/healthz")
        cookies = {cookie["name"]: cookie["sameSite"] for cookie in page.context.cookies()}
        browser.close()
    assert cookies == {"sadari_session": "Lax"}
    assert [person.user for person in live.service.people.all()] == ["kim"]
