"""Keys, tokens and passwords in text: what must not be learnt, printed, or handed on with a data set.

Covered: keys whose form gives them away (OpenAI, Anthropic, AWS, GitHub, GitLab, Google, Slack, Stripe, Hugging Face, npm, PyPI,
SendGrid, Telegram), JSON web tokens, private keys, addresses with a password in them, `password = ...` in Korean and English, and
random-looking strings beside a word such as "api key".

Not covered: passwords in prose that do not follow their word, keys split over several lines, and secrets without any sign of it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from math import log2

from sadari.text.findings import Certainty, Finding, Gate, Rule, always, search

_Verdict = tuple[str, Certainty] | None

LEAST_ENTROPY = 3.0
"""Bits per character from which a long string beside "key" or "token" counts as random, if digits stand in three places of it.
Source: the limit of detect-secrets (Yelp) for hexadecimal strings."""

LEAST_ENTROPY_OF_WORDS = 4.3
"""The same for a string with fewer digits: names such as OAuth2PasswordRequestForm stay below. Its limit for base64 is 4.5."""


def find_credentials(text: str) -> list[Finding]:
    """Keys, tokens and passwords in the text, in its order, without overlaps. Time is linear in the length.

    Placeholders (`sk-...`, `<password>`, `${TOKEN}`, `your-api-key`, `********`) are left out. Print `Finding.shown`, never `text`.
    """
    return search(text, _rules())


_PLACEHOLDER = re.compile(
    r"^[<\[{$%(]|[>\]})]$|\*{3}|x{4}|\.{3}|…|^(?:example|sample|test|dummy|fake|changeme|replace|insert|redacted)|"
    r"^(?:your|my|the|some|this|enter|put|todo|none|null|true|false|undefined|str|string|int|bool|bytes|optional|secretstr|"
    r"self|os|env|"
    r"process|config|settings|request|form|user|get|await|input|hash|plain|verify)(?:$|[^a-z0-9])|"
    r"^(?:password|passwd|secret|token|required)[0-9]{0,2}$|^0+$"
)


def _is_placeholder(value: str) -> bool:
    return _PLACEHOLDER.search(value.lower()) is not None or len(set(value)) < 4


def _judge_key(match: re.Match[str]) -> _Verdict:
    body = re.sub(r"^[A-Za-z]+[-_]", "", match[0])
    return ("api_key", "sure") if re.search("[0-9]", body) and not _is_placeholder(body) else None


def _judge_url(match: re.Match[str]) -> _Verdict:
    value = match["it"]
    if _PLACEHOLDER.search(value.lower()):
        return None
    return "password", "probable" if value.lower() in ("password", "pass", "secret", "postgres", "root", "admin") else "sure"


def _judge_password(match: re.Match[str]) -> _Verdict:
    """What stands after "password": a value that looks made up by a person or a machine, and is no name of a variable."""
    text, value = match.string, match["it"].rstrip(".:")
    sign = match[0][: match.start("it") - match.start()]
    if not re.search(r"[:=]| is ", sign) and not (re.search("[은는]", sign) and _ENDS_STATEMENT.match(text, match.end())):
        return None  # prose goes on after the word
    if len(value) < 4 or _is_placeholder(value) or _CODE.search(value) or text[match.end() : match.end() + 1] in ("(", "[", "{"):
        return None
    has_letter, has_digit = re.search("[A-Za-z]", value), re.search("[0-9]", value)
    has_sign = re.search("[!#$%&*+?@^~]", value)
    if (has_letter and has_digit) or (has_sign and (has_letter or has_digit)):
        return "password", "sure"
    is_quoted = sign[-1:] in ("'", '"', "`")
    return ("password", "probable") if len(value) >= 6 and (is_quoted or has_digit) else None


_ENDS_STATEMENT = re.compile(r"[\"'`]?(?:[ ]?(?:입니다|이에요|예요|이야|이고|이며|인데|임(?![가-힣])|으?로[ ])|[ ]*(?:[.,;)\n]|$))")
_CODE = re.compile(r"^[A-Za-z_]+(?:\.[A-Za-z_]+)+$|^https?:|^[/=]")


def _judge_secret(match: re.Match[str]) -> _Verdict:
    value = match["it"]
    if _is_placeholder(value) or not re.search("[0-9]", value) or not re.search("[A-Za-z]", value):
        return None
    if value.count("/") > len(value) // 8:
        return None  # a path
    entropy, runs = _entropy(value), len(re.findall("[0-9]+", value))
    is_random = (entropy >= LEAST_ENTROPY and runs >= 3) or entropy >= LEAST_ENTROPY_OF_WORDS
    return ("secret", "probable") if is_random else None


def _entropy(text: str) -> float:
    """Bits per character by the text's own letter counts."""
    return -sum(n / len(text) * log2(n / len(text)) for n in Counter(text).values())


_KEYS = (
    r"sk-(?<![A-Za-z0-9_-]...)(?:ant-|proj-|svcacct-|or-v1-|live-)?[A-Za-z0-9_-]{20,200}",
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    r"gh[pousr]_[A-Za-z0-9]{30,255}",
    r"github_pat_[A-Za-z0-9_]{30,255}",
    r"glpat-[A-Za-z0-9_-]{20,100}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"ya29\.[A-Za-z0-9_-]{20,300}",
    r"xox[abeprs]-[A-Za-z0-9-]{10,200}",
    r"xapp-[0-9]-[A-Za-z0-9-]{20,200}",
    r"(?:sk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9]{20,200}",
    r"hf_[A-Za-z0-9]{30,100}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgEI[A-Za-z0-9_-]{50,300}",
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}",
    r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
    r"gsk_[A-Za-z0-9]{40,80}",
    r"dop_v1_[a-f0-9]{64}",
)


@cache
def _rules() -> tuple[Rule, ...]:
    """Earlier rules win where findings overlap: the more telling form stands first."""
    return tuple(_form_rules()) + tuple(_word_rules())


def _form_rules() -> Iterator[Rule]:
    yield Rule(
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s:,.\\]|-(?!-)){0,8000}+"
            r"(?:-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----)?"
        ),
        always("private_key"),
    )
    yield Rule(
        re.compile(r"eyJ(?<![A-Za-z0-9_-]...)[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{10,1000}"),
        always("jwt"),
    )
    for key in _KEYS:
        yield Rule(re.compile(key), _judge_key)
    yield Rule(re.compile(r"https://hooks\.slack\.com/services/T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]{10,40}"), always("api_key"))
    yield Rule(
        re.compile(r"://[^\s:/@'\"<>]{0,80}:(?P<it>[^\s:/@'\"<>]{3,120})@[A-Za-z0-9\[{$<.-]"),
        _judge_url,
    )


def _word_rules() -> Iterator[Rule]:
    password = r"(?:[Pp]assword|PASSWORD|[Pp]asswd|PASSWD|[Pp]assphrase|pwd|PWD|패스워드|비밀[ ]?번호|비번|암호)"
    named = Gate(re.compile(password), before=24, after=120)
    yield Rule(
        re.compile(
            rf"{password}[\"'`]?[ ]{{0,3}}(?:(?<=호)[는은]|(?<=번)[은이]|(?<=드)[는가]| "
            rf"is)?[ ]{{0,3}}[:=]{{0,2}}[>]?[ ]{{0,3}}[bf]?[\"'`]?"
            r"(?P<it>(?<=[\"'`:= >은는])[A-Za-z0-9!#$%&*+./:=?@^_|~\\-]{4,120})"
        ),
        _judge_password,
        named,
    )
    secret = (
        r"(?:[Aa][Pp][Ii][-_ ]?[Kk][Ee][Yy]|[Ss]ecret|SECRET|[Tt]oken|TOKEN|[Aa]ccess[-_ ]?[Kk]ey|ACCESS_KEY|[Cc]redential|"
        r"[Aa]uthorization|"
        r"[Bb]earer|[Cc]lient[-_][Ss]ecret|[Pp]rivate[-_ ]?[Kk]ey|인증[ ]?키|비밀[ ]?키|시크릿|토큰|접근[ ]?키|서비스[ ]?키|"
        r"액세스[ ]?키|API[ ]?키|api[ ]?키)"
    )
    yield Rule(
        re.compile(r"(?P<it>[A-Za-z0-9](?<![A-Za-z0-9+/_.-].)[A-Za-z0-9+/_-]{19,200}={0,2})(?![A-Za-z0-9+/_-])"),
        _judge_secret,
        Gate(re.compile(secret), after=240),
    )
