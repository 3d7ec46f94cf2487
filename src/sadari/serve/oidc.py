"""Signing in with a provider of OpenID Connect: discovery, authorization code with PKCE, and the ID token.

Covered: what comes back has to belong to this browser (state), this sign-in (nonce), this code (PKCE) and this issuer, and is taken
once; the ID token is signed by a key of the issuer with one of three algorithms, never with none or with a shared secret, and is
meant for this client, now; the provider is asked only at its own hosts, by https except on this machine, and what it says at length
or slowly is cut off; a person is known again by issuer and subject, so that a name that is given anew opens nothing.
Not covered: signing out at the provider as well; a provider that lies. Of an issuer with several tenants, name the one you mean.

Source:
    OpenID Connect Core 1.0 and Discovery 1.0; RFC 7636 (PKCE), RFC 9207 (issuer of the response), RFC 9700 (current practice).
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode

from sadari.egress import Address, Ask, Caps, Egress, EgressError, parse_address, send
from sadari.errors import ConfigError
from sadari.serve.faults import ApiError
from sadari.serve.keys import Role, is_same
from sadari.serve.options import LOCAL_NAMES, OidcOptions

T = TypeVar("T")

ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}
"""With which an ID token may be signed, by the kind of key."""

LASTS_S, FAILED_S = 3_600.0, 5.0
"""Seconds for which what the provider says of itself is taken as it is, and for which it is left alone when it did not answer."""

RENEWED_S = 60.0
"""Seconds after which an unknown key is worth asking for the keys anew."""

BEGUN_S = 600
"""Seconds that a person may take at the provider."""

MOST_BEGUN = 10_000

LEEWAY_S = 60
"""By how much clocks may differ."""

_CAPS = Caps(seconds=8.0, size=1_000_000, redirects=0)


@dataclass(frozen=True, slots=True)
class Arrived:
    """Who came back from the provider.

    Args:
        subject: Issuer and subject, the same for one person for ever.
        role, labels: None where the claims tell none.
    """

    user: str
    subject: str
    role: Role | None
    labels: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Described:
    """What a provider says of itself."""

    authorization: str
    token: str
    keys: str
    takes_basic: bool
    names_itself: bool


class Provider:
    """One provider.

    Raises:
        ConfigError: If its address is none, or its secret is not there.
    """

    def __init__(self, options: OidcOptions) -> None:
        self.options = options
        self._issuer = _address(options.issuer)
        self._inside = (self._issuer.origin, *(_address(one).origin for one in options.inside))
        self._secret = _secret(options)
        self._described = _Kept(self._describe)
        self._keys = _Kept(self._read_keys)
        self._taken, self._lock = dict[str, float](), threading.Lock()

    @property
    def host(self) -> str:
        """Where it is, as its button tells where it has no title."""
        return self._issuer.host

    # --- there and back ----------------------------------------------------------------------------------------------

    def begin(self, secret: str, redirect: str) -> str:
        """The address at which a person signs in.

        Args:
            secret: 256 random bits that only this person's browser keeps; state, nonce and PKCE verifier are made of it.
            redirect: Where the provider sends the person back to.

        Raises:
            ApiError: 502, if the provider does not answer.
        """
        challenge = _text(hashlib.sha256(_made("verifier", secret).encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self.options.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(self.options.scopes),
            "state": _made("state", secret),
            "nonce": _made("nonce", secret),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        place = self._described.get().authorization
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"

    def finish(self, secret: str, told: Mapping[str, str], redirect: str) -> Arrived:
        """Who came back.

        Args:
            secret: What this person's browser kept, or "".
            told: What the provider sent along.

        Raises:
            ApiError: 403, if anything is not as it has to be; 502, if the provider does not answer.
        """
        state = _made("state", secret)
        if not secret or not is_same(told.get("state", ""), state):
            raise _refused("it was begun in another browser, or too long ago", "state")
        described = self._described.get()
        if ("iss" in told or described.names_itself) and told.get("iss") != self.options.issuer:
            raise _refused("the answer is of another provider", "issuer")
        self._take(state)
        if "error" in told or not 0 < len(told.get("code", "")) <= 4_096:
            raise _refused("the provider did not let you in", "denied")
        token = self._token(described, told["code"], redirect, _made("verifier", secret))
        return self._arrived(self._claims(token, _made("nonce", secret)))

    def _take(self, state: str) -> None:
        """Take an answer once, whatever the provider does with its code."""
        now = time.monotonic()
        with self._lock:
            self._taken = {one: at for one, at in [*self._taken.items()][-MOST_BEGUN:] if at > now - BEGUN_S}
            if state in self._taken:
                raise _refused("this answer was used already", "state")
            self._taken[state] = now

    # --- the token ---------------------------------------------------------------------------------------------------

    def _token(self, described: _Described, code: str, redirect: str, verifier: str) -> str:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        client = self.options.client_id
        if self._secret and described.takes_basic:
            pair = f"{quote_plus(client)}:{quote_plus(self._secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client} | ({"client_secret": self._secret} if self._secret else {})
        status, answer = self._asked(Ask(described.token, "POST", headers, urlencode(form).encode()))
        token = answer.get("id_token")
        if status != 200 or not isinstance(token, str):
            raise _refused("the provider did not take its own answer", "denied")
        return token

    def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """What an ID token says, if it is one for us, now."""
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token)),
                algorithms=list(ALGORITHMS),
                audience=self.options.client_id,
                issuer=self.options.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise _refused(f"its ID token is not taken ({type(error).__name__})", "token") from error
        audience, party = claims["aud"], claims.get("azp")
        is_ours = party == self.options.client_id or (party is None and (isinstance(audience, str) or len(audience) == 1))
        if not is_ours or not is_same(str(claims.get("nonce", "")), nonce):
            raise _refused("its ID token is meant for somebody else, or for another sign-in", "token")
        return claims

    def _key(self, header: Mapping[str, Any]) -> Any:
        """The key that signed a token."""
        import jwt

        algorithm = str(header.get("alg"))
        if algorithm not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError(f"signed with {algorithm[:20]}")
        found = _matching(self._keys.get(), header)
        if not found:
            found = _matching(self._keys.get(RENEWED_S), header)
        if len(found) != 1:
            raise jwt.InvalidKeyError(f"{len(found)} keys of the issuer match")
        return jwt.PyJWK(dict(found[0]), algorithm)

    def _arrived(self, claims: Mapping[str, Any]) -> Arrived:
        options, subject = self.options, claims["sub"]
        user = _claim(claims, options.user_claim)
        if options.user_claim == "email" and claims.get("email_verified") is not True:
            raise _refused("the provider has not verified your address", "name")
        if not isinstance(user, str) or not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise _refused(f"the provider does not tell {options.user_claim}", "name")
        told = _claim(claims, options.groups_claim)
        groups = {one for one in (told if isinstance(told, list) else [told]) if isinstance(one, str)}
        role = next((role for value, role in options.roles.items() if value in groups), options.role) if options.roles else None
        if options.roles and role is None:
            raise _refused("no role of yours is one here", "role")
        labels = tuple(label for value, label in options.labels.items() if value in groups) if options.labels else None
        return Arrived(user, f"{options.issuer} {subject}", role, labels)

    # --- what the provider says of itself ----------------------------------------------------------------------------

    def _describe(self) -> _Described:
        status, told = self._asked(Ask(f"{self.options.issuer.rstrip('/')}/.well-known/openid-configuration"))
        if status != 200 or told.get("issuer") != self.options.issuer:
            raise _silent("it does not describe itself as the issuer that is set")
        places = [told.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        try:
            authorization, token, keys = (self._checked(str(place)) for place in places)
        except EgressError as error:
            raise _silent("it names an address that is not asked") from error
        methods = told.get("token_endpoint_auth_methods_supported")
        takes_basic = not isinstance(methods, list) or "client_secret_basic" in methods
        names_itself = told.get("authorization_response_iss_parameter_supported") is True
        return _Described(authorization, token, keys, takes_basic, names_itself)

    def _checked(self, written: str) -> str:
        """An address of the provider, by https unless it is one of those that are set."""
        address = parse_address(written)
        self._egress(address).check(address)
        return str(address)

    def _read_keys(self) -> list[Mapping[str, Any]]:
        status, told = self._asked(Ask(self._described.get().keys))
        keys = told.get("keys")
        if status != 200 or not isinstance(keys, list):
            raise _silent("it does not tell its keys")
        return [key for key in keys if isinstance(key, dict)]

    def _asked(self, ask: Ask) -> tuple[int, Mapping[str, Any]]:
        """Status and body of an answer."""
        try:
            reply = send(ask, self._egress(parse_address(ask.address)), _CAPS)
            body = json.loads(reply.body)
        except (EgressError, ValueError, RecursionError) as error:
            raise _silent(type(error).__name__) from error
        return reply.status, body if isinstance(body, dict) else {}

    def _egress(self, address: Address) -> Egress:
        """The provider's own addresses may lie inside a company; others that it names are public, and asked by https."""
        authority = str(self.options.authority) if self.options.authority else None
        return Egress((address.host,), self._inside, ("https",), (443,), authority=authority)


class _Kept:
    """What a function gives, for a while; what it raises, for a moment."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._value: Any = None
        self._error: ApiError | None = None
        self._at = -LASTS_S

    def get(self, fresh_s: float = LASTS_S) -> Any:
        """It, no older than this."""
        with self._lock:
            age = time.monotonic() - self._at
            if self._error is not None and age < FAILED_S:
                raise self._error
            if self._error is not None or self._value is None or age >= fresh_s:
                self._renew()
            return self._value

    def _renew(self) -> None:
        try:
            self._value, self._error = self._make(), None
        except ApiError as error:
            self._error = error
            raise
        finally:
            self._at = time.monotonic()


def new_secret() -> str:
    """What a browser keeps while its person is at the provider."""
    return secrets.token_urlsafe(32)


def _made(what: str, secret: str) -> str:
    """One of the values of a sign-in; none tells another."""
    return _text(hmac.digest(secret.encode(errors="replace"), what.encode(), "sha256"))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _matching(keys: list[Mapping[str, Any]], header: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The keys that may have signed a token with this header."""
    algorithm, name = header["alg"], header.get("kid")
    return [
        key
        for key in keys
        if key.get("kty") == ALGORITHMS[algorithm]
        and (key.get("kty") != "EC" or key.get("crv") == "P-256")
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (name is None or key.get("kid") == name)
    ]


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim; `realm_access.roles` also is the roles in realm_access."""
    found: Any = claims
    for step in [name] if name in claims else name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _address(written: str) -> Address:
    try:
        address = parse_address(written)
    except EgressError as error:
        raise ConfigError(f"oidc: {error}") from error
    if address.scheme != "https" and address.host not in LOCAL_NAMES:
        raise ConfigError(f"oidc: {address.host} is not on this machine, so it is asked by https only.")
    return address


def _secret(options: OidcOptions) -> str:
    if options.client_secret_file is not None:
        try:
            secret = options.client_secret_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(f"oidc: client_secret_file {options.client_secret_file} cannot be read.") from error
    else:
        secret = os.environ.get(options.client_secret_env, "") if options.client_secret_env else ""
    if not secret and (options.client_secret_env or options.client_secret_file is not None):
        raise ConfigError(f"oidc: {options.client_secret_env or options.client_secret_file} holds no secret of the client.")
    return secret


def _refused(why: str, code: str) -> ApiError:
    return ApiError(403, f"The sign-in is not taken: {why}. Begin again.", code=f"oidc_{code}")


def _silent(why: str) -> ApiError:
    return ApiError(502, f"The provider cannot be asked: {why}.", code="oidc_provider", retry_after_s=FAILED_S)
