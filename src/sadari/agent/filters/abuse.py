"""Abuse and profanity, Korean and English.

Covered: the common words, and what people do to slip them through: signs and digits between syllables (시1발), letters
taken apart (ㅆㅣㅂㅏㄹ), initials alone (ㅅㅂ), other vowels (씌발), invisible and full-width characters, digits for letters
(sh1t), signs between letters (f.u.c.k), letters drawn out (fuuuck).

Not covered: abuse without an abusive word, irony, words that are abuse only here and there (새끼, 미친), other languages.
Harmless words that look alike are let through: 시발점, 시발역, 병신년, Scunthorpe, 다시 발송.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from pydantic import BaseModel, Field

from sadari.agent.filters.edits import REFUSALS, Edit, Handling, handled
from sadari.agent.guard import Checked
from sadari.text.findings import Finding, Rule, always, search
from sadari.types import Answer, Caller, Message

_NAMES = {"ko": "욕설", "en": "abuse"}


class AbuseOptions(BaseModel, frozen=True, extra="forbid"):
    """What becomes of abuse, as written under `agent: filters: abuse:`."""

    action: Handling = Field(default="mask", description="Put stars in its place, say behind it what it is, or refuse the answer.")
    words: tuple[str, ...] = Field(default=(), description="Further words, in Hangul or Latin letters.")
    allow: tuple[str, ...] = Field(default=(), description="Words that are not abuse here, such as the name of a product.")


class AbuseFilter:
    """A `Filter` for abuse and profanity."""

    needs_whole = False

    def __init__(self, options: AbuseOptions) -> None:
        self._options = options
        self._own = tuple(Rule(re.compile(_spelt(word), re.IGNORECASE), always("abuse")) for word in options.words)
        self.version = hashlib.sha256(options.model_dump_json().encode()).hexdigest()[:16]

    def check(self, answer: Answer, caller: Caller, messages: Sequence[Message]) -> Checked:
        """The answer without abuse."""
        note = f" [{_NAMES[caller.language]}]"

        def find(text: str) -> list[Edit]:
            found = [f for f in find_abuse(text, self._own) if not self._is_allowed(text, f)]
            return [Edit(f.start, f.end, "abuse", "*" * min(8, f.end - f.start), note) for f in found]

        return handled(answer, find, self._options.action, REFUSALS[caller.language])

    def _is_allowed(self, text: str, found: Finding) -> bool:
        around = text[max(0, found.start - 20) : found.end + 20].casefold()
        return any(found.text.casefold() in word.casefold() and word.casefold() in around for word in self._options.allow)


def find_abuse(text: str, more: Iterable[Rule] = ()) -> list[Finding]:
    """Abusive words in a text, in its order."""
    return search(text, (*_rules(), *more))


# --- Korean ------------------------------------------------------------------------------------------------------------

_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_BETWEEN = r"[^\w\s]{0,3}[0-9_]{0,4}[^\w\s]{0,2}"  # no spaces: 다시 발송
_BEFORE = r"(?<![가-힣ㄱ-ㅣ])(?:[개왕씹이저그아야하와]|에이)?"  # not inside a word: 질병신고, 김씨발언

_WORDS = (
    *("씨발", "씨이발", "씨팔", "쓰발", "씌발", "시발", "시이발", "시팔", "시바ㄹ", "시ㅂ발", "쉬발", "슈발", "씨바"),
    *("씹새", "씹년", "씹놈", "좆", "존나", "병신", "븅신", "지랄", "염병", "니애미", "니에미", "느금마", "느개비"),
    *("엠창", "개새끼", "개색끼", "개쉐이", "개세끼", "개놈", "쌍년", "쌍놈", "썅", "호로새끼", "후레자식", "미친놈"),
    *("미친년", "또라이", "뒈져", "뒈지", "창녀", "창놈", "걸레년", "찐따", "등신", "머저리", "쪽발이", "짱깨", "깜둥이"),
    *("틀딱", "맘충", "한남충", "급식충", "이새끼", "저새끼", "그새끼", "새끼야", "새꺄", "아가리", "주둥아리", "엿먹어"),
    *("육시랄", "닥쳐"),
)
_AFTER = {
    "씨바": r"(?=[^가-힣]|$)",
    "시발": r"(?!점|역|택시|\s?자동차|차|지|선|열차|노선|버스|전|생|송|표|행|견|급|달|령|굴|명)",
    "시이발": r"(?!송|표|행|급)",
    "병신": r"(?!년(?![아이놈])|월|일|사화|정변)",
    "미친년": r"(?!도|간)",
    "등신": r"(?!대|불)",
    "닥쳐": r"(?![올오온왔서])",
    "지랄": r"(?!탄|견)",
    "아가리": r"(?=\s?(?:닥|다물|싸|찢|털))",
    "주둥아리": r"(?=\s?(?:닥|다물|싸|찢|털))",
    "염병": r"(?=할|하네|떠|떨|[^가-힣]|$)",
}
"""What may not, or has to, follow: else it is another word."""
_BY_INITIALS = ("ㅅㅂ", "ㅆㅂ", "ㅅㅍ", "ㅄ", "ㅂㅅ", "ㅈㄹ", "ㅈㄴ", "ㄱㅅㄲ", "ㅅㄲ", "ㅁㅊㄴ", "ㄲㅈ", "ㄷㅊ", "ㄴㄱㅁ", "ㅈ같")
_APART = (
    r"(?:씨[ ]{1,2}발|병[ ]{1,2}신|지[ ]{1,2}랄|개[ ]{1,2}새[ ]{1,2}끼|존[ ]{1,2}나)(?=[^가-힣]|[아이야은는놈년새]|$)|"
    r"니[ ]{1,2}(?:애미|에미|애비)|미친[ ]{1,2}(?:놈|새끼|년(?!도|간))"
)


def _syllable(character: str) -> str:
    """A syllable, whole or taken apart; other characters as they are."""
    if not "가" <= character <= "힣":
        return re.escape(character)
    number = ord(character) - ord("가")
    first, vowel, last = _INITIALS[number // 588], _VOWELS[number % 588 // 28], _FINALS[number % 28].strip()
    apart = _BETWEEN.join([first, vowel + "{1,6}", *([last] if last else [])])
    return f"(?:{character}|{apart})" if not last else f"(?:{character}|{_open(character)}{_BETWEEN}{last}|{apart})"


def _open(character: str) -> str:
    """The syllable without its final consonant."""
    return chr(ord("가") + (ord(character) - ord("가")) // 28 * 28)


def _spelt(word: str) -> str:
    """A word in all its spellings."""
    if re.fullmatch(r"[A-Za-z]+", word):
        return _english(word, r"\w{0,6}")
    return _BETWEEN.join(_syllable(character) for character in word)


def _korean() -> Iterator[str]:
    for word in sorted(_WORDS, key=len, reverse=True):
        before = "" if word in ("좆", "개새끼") else _BEFORE
        yield f"{before}{_spelt(word)}{_AFTER.get(word, '')}"
    initials = "|".join(_BETWEEN.join(word) for word in _BY_INITIALS)
    yield rf"(?<![ㄱ-ㅎ])(?:{initials})"
    yield rf"(?<![가-힣])(?:{_APART})"


# --- English -----------------------------------------------------------------------------------------------------------

_LOOKS_LIKE = {
    "a": "a@4^*",
    "b": "b8",
    "c": "ck(",
    "e": "e3*",
    "g": "g69",
    "i": "i1!|l*",
    "l": "l1|",
    "o": "o0*",
    "s": "s5$z",
    "t": "t7+",
    "u": "uv*@",
}
_ENGLISH = (
    ("fuck", r"(?:s|ed|er|ers|ing|in|in'|off|up|ers?|wit|face|head|tard)?"),
    ("motherfuck", r"(?:s|er|ers|ing|in)?"),
    ("shit", r"(?:s|ty|ter|ting|face|head|hole|bag|show)?"),
    ("bullshit", r"(?:s|ter|ting)?"),
    ("bitch", r"(?:es|y|ing|ass)?"),
    ("asshole", "s?"),
    ("dickhead", "s?"),
    ("cunt", "(?:s|y)?"),
    ("bastard", "s?"),
    ("nigger", "s?"),
    ("nigga", "[sz]?"),
    ("faggot", "s?"),
    ("retard", "(?:s|ed)"),
    ("whore", "s?"),
    ("slut", "(?:s|ty)?"),
    ("wanker", "s?"),
    ("twat", "s?"),
    ("cocksucker", "s?"),
)


_SIGN = r"[^\w\s]?"


def _english(word: str, tail: str) -> str:
    """A word with signs between its letters, letters drawn out, and digits for letters; not inside another word."""
    letters = (f"[{re.escape(_LOOKS_LIKE.get(letter, letter))}]{{1,6}}" for letter in word.lower())
    spaced = r"[ ]".join(re.escape(letter) for letter in word.lower())
    return rf"(?<![A-Za-z0-9])(?:{_SIGN.join(letters)}|{spaced}){tail}(?![A-Za-z])"


@cache
def _rules() -> tuple[Rule, ...]:
    korean = re.compile("|".join(_korean()), re.MULTILINE)
    english = re.compile("|".join(_english(*word) for word in _ENGLISH), re.IGNORECASE)
    return Rule(korean, always("abuse")), Rule(english, always("abuse"))
