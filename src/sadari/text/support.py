"""Whether a source says what a sentence says, nearly word for word: the check behind every citation.

Covered: numbers, dates, times and money in all their spellings; negation, and opposites such as 무료 and 유료; names, and the topic
of a Korean sentence; spacing, punctuation, letter case, particles and endings make no difference.

Not covered: other words for the same thing, which count as missing; who does what to whom; a number that stands in the source for
another thing; a sentence in another language than its source.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sadari.text.forms import compared
from sadari.text.morphemes import names_in
from sadari.text.quantities import Quantity, is_supported, quantities_in

Conflict = Literal["", "number", "negation", "name"]

LEAST_SUPPORT = 0.6
"""Share of a sentence that its source says, where no better threshold was learnt."""


@dataclass(frozen=True, slots=True)
class Support:
    """How far a source says what a sentence says.

    Args:
        share: Of what the sentence claims in words, the part that stands in the source, in [0, 1].
        conflict: What the source says otherwise, or not at all though it would have to: a number, a negation or an opposite, a name
            or the topic; "" for nothing.
    """

    share: float
    conflict: Conflict = ""

    @property
    def value(self) -> float:
        """The share, or 0 where there is a conflict."""
        return 0.0 if self.conflict else self.share


def support_of(sentence: str, source: str, *, around: str = "", asked: str = "") -> Support:
    """How far `source` says what `sentence` says.

    Args:
        around: What the source is read with: its title, the head of its table.
        asked: The question. Its words are no claims of the answer, nor are its numbers, unless the source has others of the kind.
    """
    return Support(_shares(sentence, source, around, asked)[0], _conflict(sentence, source, around, asked))


def best_support(sentence: str, sources: Sequence[tuple[str, str]], asked: str = "") -> tuple[Support, int]:
    """The support of the source that says most of a sentence and nothing otherwise, else most of it, and that source's place.

    Args:
        sources: Texts, each with what it is read with (`around` of `support_of`); of equal ones the first is taken.

    Returns:
        No support, and -1, if no source has anything of the sentence.
    """
    shares = [_shares(sentence, source, around, asked) for source, around in sources]
    closest: tuple[Support, int] = (Support(0.0), -1)
    for place in sorted(range(len(sources)), key=lambda i: shares[i], reverse=True):  # stable: of equal ones the first stays first
        if shares[place][0] == 0:
            break
        support = Support(shares[place][0], _conflict(sentence, *sources[place], asked))
        if not support.conflict:
            return support, place
        closest = closest if closest[1] >= 0 else (support, place)
    return closest


def claims_anything(sentence: str) -> bool:
    """Whether there is anything in a sentence to be supported: no question, no greeting, no thanks, no bare yes."""
    if sentence.rstrip().endswith("?") or _COURTESY.fullmatch(sentence.strip()):
        return False
    return bool(_numbers(sentence)) or any(word.weight for word in _words(sentence))


def clauses_of(sentence: str) -> tuple[str, ...]:
    """The clauses of a sentence, each with something to claim; the sentence itself if there is one."""
    pieces: list[str] = []
    for piece in _CLAUSE_END.split(sentence):
        weight = sum(word.weight for word in _words(piece))
        if pieces and weight + 2 * len(_numbers(piece)) < _LEAST_CLAUSE:
            pieces[-1] = f"{pieces[-1]} {piece}"
        else:
            pieces.append(piece)
    return tuple(pieces)


# --- words -------------------------------------------------------------------------------------------------------------

_MOST_CLAUSES = 12
_LEAST_CLAUSE = 4  # syllables; "하고 있습니다" is one predicate, not two clauses
_CLAUSE_END = re.compile(r"(?:(?<=[가-힣][고며나만데])|(?<=[,;]))\s+|\s+(?=(?:but|while|whereas)\s)")
_TOKEN = re.compile(r"[가-힣]+|[A-Za-z][A-Za-z0-9]*(?:[-'._+#/]*[A-Za-z0-9+#]+)*|[^\W\d_a-zA-Z가-힣]+|\d+")
_HANGUL = re.compile(r"[가-힣]")

# Syllables of which particles, endings and auxiliaries consist; at the end of a word that is known they claim nothing.
_GRAMMAR = (
    "은는이가을를의에도로과와만께서게한하할함합해했히되될된됨됩돼됐시십셨세신실요다니까지고며면나든라란려러여어아야자네죠군습읍"
    "기던데듯부터처럼마저조차씩들였었았겠있으인일임입습적님중및든수것등후때내"
)
_LITTLE_WORDS = """
a an and are as at be been but by can could did do does for from had has have he her his i if in into is it its may me my of on or
our shall she should so than that the their them then there these they this those to was we were what when where which who will with
would you your also please yes no not
"""
_FUNCTION_WORDS = """
경우 때문 다음 해당 관련 통해 대해 대한 위해 따라 따르면 의해 모두 매우 가장 또한 그리고 하지만 그러나 따라서 그래서
그러면 다만 고객 고객님 저희 우리 이것 그것 여기 거기 문서 답변 질문 내용 안내 문의 사항 정도 이상 이하 이내 이후
이전 가능 필요 사용 있습니다 없습니다
"""
_SMALL = frozenset(
    "수것등및후전때이그저더또각약안내중곳점바줄데씨님한두세네예단총매본첫뒤앞위밑옆간별식용쪽잘꼭왜는은가를을의에도로과와"
)
_LITTLE, _FUNCTION = frozenset(_LITTLE_WORDS.split()), frozenset(_FUNCTION_WORDS.split())
_COURTESY = re.compile(
    r"(?:네|예|아니요|아니오|아뇨|안녕하세요|안녕하십니까|반갑습니다|감사합니다|고맙습니다|죄송합니다|(?:네|예), ?고객님"
    r"|(?:(?:문의|연락|이용)(?:해|하여)? ?주셔서 |추가 ?)?(?:감사합니다|감사드립니다)"
    r"|(?:더 |추가로 |다른 )?(?:궁금한|궁금하신|필요한|필요하신) (?:점|사항|것)이 (?:있으면|있으시면|더 있으면) (?:언제든지? )?"
    r"(?:다시 )?(?:문의|연락|말씀)(?:해)? ?(?:주세요|주십시오|바랍니다)"
    r"|(?:도움이|답변이) (?:되었으면|되셨기를|되길|되기를|되셨길) (?:합니다|바랍니다)|좋은 하루 (?:되세요|보내세요)"
    r"|yes|no|hello|hi|sure|of course|certainly|thank you(?: for [a-z ]{3,40})?|thanks|sorry|i hope this helps|you're welcome"
    r"|(?:please )?(?:let me know|feel free to (?:ask|contact us)) if you (?:have|need) (?:any )?[a-z ]{3,40})[.!, ]*",
    re.IGNORECASE,
)


_NOUN_OF_GRAMMAR = re.compile(
    r"(?![하해했할한합히되돼됐될된됩있이인일입임시십])[가-힣](?![다요까고며는은을를의에로도과와한할해된될던서지면든])[가-힣]"
    r"(?:입니다|이다|예요|였습니다|에서|에게|까지|부터|[의은는이가을를로와과도에])?"
)


@dataclass(frozen=True, slots=True)
class _Word:
    """One word of a sentence: Hangul without spaces, or a word in other letters.

    Args:
        weight: Syllables that may claim something; 2 for a word in other letters, 0 for a little word.
        is_first: Whether it opens the sentence, where capitals mean nothing.
    """

    text: str
    weight: int
    is_first: bool = False

    @property
    def is_hangul(self) -> bool:
        return "가" <= self.text[0] <= "힣"

    @property
    def is_name(self) -> bool:
        """Whether its letters say that it is a name or a code."""
        return (
            any(c.isdigit() for c in self.text)
            or self.text[1:] != self.text[1:].lower()
            or (self.text[0].isupper() and not self.is_first)
        )


@lru_cache(4096)
def _words(text: str) -> tuple[_Word, ...]:
    """The words of a text; quantities are none."""
    quantities, text = _quantities(text), compared(text)
    for quantity in reversed(quantities):
        text = text[: quantity.start] + " " + text[quantity.end :]
    return tuple(
        _Word(token, _weight(token), is_first=i == 0)
        for i, token in enumerate(match[0] for match in _TOKEN.finditer(text) if not match[0].isdigit())
    )


def _weight(token: str) -> int:
    if not _HANGUL.match(token):
        return 0 if token.lower() in _LITTLE else 2
    if token in _FUNCTION or token in _SMALL:
        return 0
    # 로마 and 가야 are made of such syllables too, and are no endings.
    return len(token.rstrip(_GRAMMAR)) or (2 if _NOUN_OF_GRAMMAR.fullmatch(token) else int(len(token) == 1))


@lru_cache(4096)
def _quantities(text: str) -> tuple[Quantity, ...]:
    return tuple(quantities_in(text))


def _numbers(text: str) -> tuple[str, ...]:
    return tuple(quantity.spelling for quantity in _quantities(text))


@dataclass(frozen=True, slots=True)
class _Known:
    """What a text holds: pairs of syllables that follow each other, spaces or not; syllables that begin words; other words."""

    pairs: frozenset[str]
    starts: frozenset[str]
    others: frozenset[str]


@lru_cache(4096)
def _known(text: str) -> _Known:
    hangul = [word.text for word in _words(text) if word.is_hangul]
    run = "".join(hangul)
    others = [word.text.lower() for word in _words(text) if not word.is_hangul]
    return _Known(
        frozenset(run[i : i + 2] for i in range(len(run) - 1)),
        frozenset(word[0] for word in hangul),
        frozenset(part for word in others for part in (word, *_parts(word))),
    )


def _parts(word: str) -> list[str]:
    return re.split(r"[-._/]", word)


def _shares(sentence: str, source: str, around: str, asked: str) -> tuple[float, float]:
    """Share of the claimed syllables that stand in the source or around it, and in the source alone.

    What the question holds too is left out of the first, unless nothing else is claimed.
    """
    if sentence == source:
        return 1.0, 1.0
    own = said = weighed = said_anew = weighed_anew = 0
    for word in _words(sentence):
        parts = _held(word, source), _held(word, around)
        held, length = max(parts, key=lambda part: part[0] / max(1, part[1]))
        own, said, weighed = own + parts[0][0], said + held, weighed + length
        if _held(word, asked)[0] == 0:
            said_anew, weighed_anew = said_anew + held, weighed_anew + length
    has_numbers = bool(_numbers(sentence))
    if not weighed:
        return float(has_numbers), float(has_numbers)
    if not own and not has_numbers:
        return 0.0, 0.0  # a title alone says nothing
    return said_anew / weighed_anew if weighed_anew else said / weighed, min(1.0, own / weighed)


@lru_cache(16384)
def _held(word: _Word, text: str) -> tuple[int, int]:
    """Of the syllables of a word that may claim something, how many stand in `text`, and how many there are."""
    known = _known(text)
    if not word.weight:
        return 0, 0
    if not word.is_hangul:
        return (word.weight if _is_among(word.text.lower(), known.others) else 0), word.weight
    stands = [False] * len(word.text)
    for i in range(len(word.text) - 1):
        if word.text[i : i + 2] in known.pairs:
            stands[i] = stands[i + 1] = True
    last = max((i for i, does in enumerate(stands) if does), default=-1)
    if last < 0:
        return int(word.weight == 1 and word.text[0] in known.starts), word.weight
    return sum(stands), last + 1 + len(word.text[last + 1 :].rstrip(_GRAMMAR))


def _is_among(word: str, others: frozenset[str]) -> bool:
    """Whether a word in other letters stands there, in this or another form: refund, refunds; transfer, transferred."""
    if word in others or all(part in others for part in _parts(word)):
        return True
    return any(len(other) > 2 and _common(word, other) >= max(3, min(len(word), len(other)) - 2) for other in others)


def _common(first: str, second: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))


# --- conflicts ---------------------------------------------------------------------------------------------------------

_NEGATION = re.compile(
    r"않|없|(?<!잘)못|(?<!뿐만 )(?<!뿐 )아[니닙닌닐냐]|(?<![가-힣])안\s?(?=[되됩돼된할합해하한])|지\s?(?:마세요|마십시오|말|마라)"
    r"|금지|불가(?:능|(?=[합하한함입이임]|[^가-힣]|$))"
    r"|\b(?:not(?! only)|never|none|nor|without|cannot|unable|prohibited|forbidden)\b|n't\b|\bno\b",
    re.IGNORECASE,
)
_OPENING = re.compile(r"^\s*(?:아니요|아니오|아뇨|네|예|no|yes)\s*[,.]\s*", re.IGNORECASE)
_OPPOSITES: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(one, re.IGNORECASE), re.compile(other, re.IGNORECASE))
    for one, other in (
        ("이상|최소|초과", "이하|최대|미만"),
        ("초과", "이하"),
        ("이전", "이후"),
        (r"[일월년주간]\s?전(?![가-힣]{2})", r"[일월년주간]\s?[후뒤]"),
        ("무료", "유료"),
        ("포함", "제외"),
        ("필수|의무", "선택|임의"),
        ("증가|인상|상승", "감소|인하|하락"),
        ("국내", "해외|국외"),
        ("(?<!비)공개", "비공개"),
        ("시작", "종료|마감"),
        (r"\bbefore\b", r"\bafter\b"),
        (
            r"\bat least\b|\bminimum\b|\bmore than\b|\babove\b|\bover\b",
            r"\bat most\b|\bmaximum\b|\bless than\b|\bbelow\b|\bunder\b",
        ),
        (r"\bfree\b", r"\bpaid\b|\bcharged\b"),
        (r"\binclud", r"\bexclud"),
        (r"\brequired\b|\bmandatory\b|\bmust\b", r"\boptional\b"),
        (r"\bincreas", r"\bdecreas|\breduc"),
        (r"\ballowed\b|\bpermitted\b", r"\bprohibited\b|\bforbidden\b"),
    )
)


def _conflict(sentence: str, source: str, around: str, asked: str) -> Conflict:
    if sentence == source:
        return ""
    if _has_other_numbers(sentence, source, around, asked):
        return "number"
    if _is_turned_round(sentence, source, around):
        return "negation"
    if _is_about_another(sentence, source, around, asked) or _has_other_names(sentence, source, around, asked):
        return "name"
    return ""


def _has_other_numbers(sentence: str, source: str, around: str, asked: str) -> bool:
    said = _numbers(sentence)
    if not said:
        return False
    known = [*_numbers(source), *_numbers(around)]
    kinds = {_kind(number) for number in _numbers(source)}
    excused = _numbers(asked)
    return any(
        not _is_said(number, known, source) and not (is_supported(number, excused) and _kind(number) not in kinds)
        for number in said
    )


def _is_said(number: str, known: Sequence[str], source: str) -> bool:
    """Whether a number is supported; also a bare year by a date, and one with its unit by one whose unit was not read: 6세다."""
    if is_supported(number, known) or (re.fullmatch(r"[12]\d{3}", number) and is_supported(f"{number}년", known)):
        return True
    counted = re.fullmatch(r"([\d.]+)(\D+)", number)
    return (
        counted is not None
        and counted[1] in known
        and re.search(rf"(?<![\d.,]){re.escape(counted[1])}\s?{re.escape(counted[2])}", compared(source)) is not None
    )


def _kind(number: str) -> str:
    """What a canonical number counts: its unit, or the form of a date, a time or a telephone number."""
    return re.sub(r"\d+(?:\.\d+)?", "0", number)


def _is_turned_round(sentence: str, source: str, around: str) -> bool:
    """Whether one of both is negated, or names the opposite; of a long source only the clauses count that the sentence is about."""
    said, read = _OPENING.sub("", compared(sentence)), compared(source)
    pairs = [
        (one, other) for pair in _OPPOSITES for one, other in (pair, pair[::-1]) if one.search(said) and not other.search(said)
    ]
    if not pairs and not _NEGATION.search(said) and not _NEGATION.search(read):
        return False
    about = _about(said, read, around)
    if len(_negated(said)) % 2 != sum(host is None or _held(host, said)[0] > 0 for host in _negated(about)) % 2:
        return True
    return any(other.search(about) and not one.search(about) for one, other in pairs)


def _negated(text: str) -> list[_Word | None]:
    """For each negation the word that it negates: the one before it, in English the one after it."""
    hosts: list[_Word | None] = []
    for match in _NEGATION.finditer(text):
        in_korean = _HANGUL.match(match[0]) is not None
        words = _words(text[: match.start()])[::-1] if in_korean else _words(text[match.end() :])
        hosts.append(next((word for word in words if word.weight), None))
    return hosts


@lru_cache(4096)
def _about(sentence: str, source: str, around: str) -> str:
    """The shortest run of clauses of the source that says as much of the sentence as all of it."""
    clauses = clauses_of(source)
    if len(clauses) > _MOST_CLAUSES:
        return source
    whole = _shares(sentence, source, around, "")[0]
    for length in range(1, len(clauses)):
        for first in range(len(clauses) - length + 1):
            run = " ".join(clauses[first : first + length])
            if _shares(sentence, run, around, "")[0] >= whole and not _has_other_numbers(sentence, run, around, ""):
                return run
    return source


_TOPIC = re.compile(r"(?P<stem>[가-힣]{2,})(?P<particle>은|는)")
_VERBAL = re.compile(r".*(?:하|되|시키|받|있|없|않|같|많|좋|높|낮|작|적|려|주|드|스러|지|야|해|돼|나|오|가|보|리|치|이)")


def _has_other_names(sentence: str, source: str, around: str, asked: str) -> bool:
    """Whether the sentence names what neither source nor question name."""
    texts = (source, around, asked)
    unheld = [
        word for word in _words(sentence) if word.weight and all(_held(word, text)[0] < _held(word, text)[1] for text in texts)
    ]
    in_korean = _HANGUL.search(sentence) is not None
    if any(not word.is_hangul and (word.is_name or (in_korean and len(word.text) > 1)) for word in unheld):
        return True
    if not any(word.is_hangul for word in unheld):
        return False  # what stands in the source is no other name; spares most calls of Kiwi
    return any(not any(_holds_all(name, text) for text in texts) for name in names_in(compared(sentence)))


def _is_about_another(sentence: str, source: str, around: str, asked: str) -> bool:
    """Whether the sentence has a topic that the source does not name; of a source without a topic the question may name it."""
    topic = _topic(sentence)
    if topic is None or any(_held(topic, text)[0] for text in (source, around)):
        return False
    return _topic(source) is not None or not _held(topic, asked)[0]


def _topic(text: str) -> _Word | None:
    """The first noun of two syllables or more with 은 or 는."""
    for word in _words(text):
        noun = _TOPIC.fullmatch(word.text)
        if noun and not _VERBAL.fullmatch(noun["stem"]) and _has_coda(noun["stem"][-1]) == (noun["particle"] == "은"):
            return _Word(noun["stem"], len(noun["stem"])) if noun["stem"] not in _FUNCTION else None
    return None


def _has_coda(syllable: str) -> bool:
    return (ord(syllable) - 0xAC00) % 28 > 0


def _holds_all(name: str, text: str) -> bool:
    pairs = _known(text).pairs
    return all(name[i : i + 2] in pairs for i in range(len(name) - 1))
