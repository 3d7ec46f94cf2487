"""Error types: the failing examples of a system in a few named groups, and which rung fixed or broke them.

Failures are first put together by the kind of their reason ("abstains, though the documents say it", "differs: total", one label
for another); what has no company in its kind goes up to the wider kind. A large kind is then split by what the questions are about,
as long as the halves are clearly more alike than the whole: spherical 2-means on TF-IDF vectors of character n-grams, which need no
word borders and so suit Korean. A group is named by the words that tell it from all other questions, and by its kind.

Source:
    Bisecting k-means: Steinbach, Karypis & Kumar (2000), A Comparison of Document Clustering Techniques; hashed features:
    Weinberger et al. (2009), arXiv 0902.2206; telling words: Monroe, Colaresi & Quinn (2008), Fightin' Words,
    doi 10.1093/pan/mpn018.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sadari.errors import DataError
from sadari.measure.korean import PlainText, korean_text, normalise
from sadari.types import Answer, Example, Scorecard, Step

MOST_GROUPS = 12
SMALLEST_SHARE = 0.025
"""A group holds at least this share of the failures, and at least two of them, unless nothing is like it."""

EXAMPLES_SHOWN = 5
WORDS_SHOWN = 3

FEATURES = 1024
NGRAMS = (2, 3)
LONGEST_QUESTION = 500
MOST_SPELLINGS = 3000
COMMON_SHARE = 0.15
"""Share of a group's questions in which a word must stand to be part of its name."""

ROUNDS = 8

Language = Literal["ko", "en"]
_Vectors = NDArray[np.float32]
_Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failing examples of one type.

    Args:
        name: Its most telling words, if it has any, and its kind.
        kind: What is wrong with the answers, in words.
        count, share: How many, and of all failing examples.
        lost: What the group takes from the quality: its missing scores over all examples, in [0, 1].
        ids: Of all its examples, in file order.
        examples: Ids of up to five that are most like the others.
        fixed_by, broken_by: By rung, how many of the group's examples it brought from below 1 to 1, or from 1 below, against the
            incumbent that it was judged against, taken or not. A rung that did neither is left out.
    """

    name: str
    kind: str
    words: tuple[str, ...]
    count: int
    share: float
    lost: float
    ids: tuple[str, ...]
    examples: tuple[str, ...]
    fixed_by: Mapping[str, int]
    broken_by: Mapping[str, int]


def cluster_failures(
    card: Scorecard,
    examples: Sequence[Example],
    answers: Sequence[Answer],
    history: Sequence[Step] = (),
    *,
    language: Language = "en",
) -> tuple[FailureGroup, ...]:
    """The failing examples of `card` (scores below 1), each in exactly one group; the group that costs most quality first.

    Deterministic. At most twelve groups; (), if nothing fails.

    Args:
        examples, answers: One per score of the card, in its order.
        history: Every step of the climb, in order; () leaves `fixed_by` and `broken_by` empty.

    Raises:
        DataError: If examples, answers and cards are not of the same ids.
    """
    _check(card, examples, answers, history)
    failing = [i for i, score in enumerate(card.scores) if score < 1]
    if not failing:
        return ()
    smallest = max(2, ceil(SMALLEST_SHARE * len(failing)))
    kinds = [_kind(card.reasons[i], card.scores[i], answers[i], language) for i in failing]
    terms = _content_words([example.question for example in examples])
    vectors = _tf_idf([terms[i] for i in failing], terms)
    groups = _split(_by_kind(kinds, smallest, language), vectors, smallest)
    document_counts = Counter(term for found in terms for term in set(found))
    changes = _changes(history)
    told = []
    for kind, members in groups:
        indices = [failing[m] for m in members]
        words = _telling_words([terms[i] for i in indices], document_counts, len(examples))
        ids = tuple(card.ids[i] for i in indices)
        told.append(
            FailureGroup(
                name=f"{' · '.join(words)} — {kind}" if words else kind,
                kind=kind,
                words=words,
                count=len(indices),
                share=len(indices) / len(failing),
                lost=sum(1 - card.scores[i] for i in indices) / len(card.scores),
                ids=ids,
                examples=tuple(ids[j] for j in _most_central(vectors[members])),
                fixed_by={rung: n for rung, fixed, _ in changes if (n := len(fixed.intersection(ids)))},
                broken_by={rung: n for rung, _, broken in changes if (n := len(broken.intersection(ids)))},
            )
        )
    return tuple(sorted(told, key=lambda group: (-group.lost, -group.count, group.name)))


def _check(card: Scorecard, examples: Sequence[Example], answers: Sequence[Answer], history: Sequence[Step]) -> None:
    if card.ids != tuple(example.id for example in examples) or len(answers) != len(examples):
        raise DataError(
            f"rung {card.rung}: a scorecard of {len(card.ids)} examples does not fit {len(examples)} examples and {len(answers)} "
            "answers. Give those it was made from, in the same order."
        )
    for step in history:
        if step.scorecard.ids != card.ids:
            raise DataError(f"rung {step.rung} was measured on other examples than {card.rung}. Measure both on the same.")


def _changes(history: Sequence[Step]) -> list[tuple[str, frozenset[str], frozenset[str]]]:
    """Each rung after the first, with the ids it fixed and those it broke, against its incumbent."""
    changes = []
    incumbent = history[0].scorecard if history else None
    for step in history[1:]:
        assert incumbent is not None
        pairs = list(zip(step.scorecard.ids, incumbent.scores, step.scorecard.scores, strict=True))
        fixed = frozenset(name for name, before, after in pairs if before < 1 <= after)
        broken = frozenset(name for name, before, after in pairs if after < 1 <= before)
        changes.append((step.rung, fixed, broken))
        if step.verdict.taken:
            incumbent = step.scorecard
    return changes


# --- the kind of a reason ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is wrong, exactly and more widely."""

    exact: str
    wide: str


_TEXTS: dict[Language, dict[str, str]] = {
    "ko": {
        "error": "답을 얻지 못함",
        "empty": "빈 답",
        "label": "정답 {1}, 답 {0}",
        "wrong": "다른 답",
        "missing": "요구된 사실이 빠짐",
        "uncited": "인용문에 없는 사실",
        "number": "인용문과 질문에 없는 숫자",
        "fields": "값이 다름: {}",
        "some fields": "값이 다른 항목이 있음",
        "calls": "도구 호출이 다름",
        "far": "거의 맞지 않음",
        "partly": "일부만 맞음",
        "nearly": "거의 맞음",
        "other": "그 밖의 이유",
    },
    "en": {
        "error": "no answer",
        "empty": "an empty answer",
        "label": "{1} expected, {0} said",
        "wrong": "another answer",
        "missing": "does not say a required fact",
        "uncited": "no citation holds a fact",
        "number": "a number that stands neither in a citation nor in the question",
        "fields": "differs: {}",
        "some fields": "some fields differ",
        "calls": "other tool calls",
        "far": "hardly right",
        "partly": "right in part",
        "nearly": "nearly right",
        "other": "other reasons",
    },
}
_SAME_KIND = {
    "missing": re.compile(r"does not say |빠진 사실: "),
    "uncited": re.compile(r"no citation holds |인용문에 없는 사실: "),
    "number": re.compile(r".* stands neither in a citation|인용문과 질문에 없는 숫자: "),
}
"""Reasons that name a particular: it is told by the words of the question."""

_ERROR = re.compile(r"error: (.*)", re.DOTALL)
_PAIR = re.compile(r"(.{1,60}) ≠ (.{1,60})")
_FIELDS = re.compile(r"differs: (.*)")
_CALLS = re.compile(r"(missing|extra): ([^(;]{1,60})\(")
_MEASURE = re.compile(r"[\w-]{0,20} ?[01]\.\d+")
_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|‘[^’]*’|\d[\d.,]*")


def _kind(reason: str, score: float, answer: Answer, language: Language) -> _Kind:
    say = _TEXTS[language]
    reason = " ".join(reason[:500].split())
    if error := _ERROR.fullmatch(reason):
        return _Kind(f"{say['error']}: {_PARTICULARS.sub('…', error[1])[:60]}", say["error"])
    if not answer.text.strip() and not answer.tool_calls and not answer.abstained:
        return _Kind(say["empty"], say["empty"])
    for name, pattern in _SAME_KIND.items():
        if pattern.match(reason):
            return _Kind(say[name], say[name])
    if pair := _PAIR.fullmatch(reason):
        return _Kind(say["label"].format(pair[1], pair[2]), say["wrong"])
    if fields := _FIELDS.fullmatch(reason):
        names = sorted({re.sub(r"\[\d+\]", "[]", name.strip()) for name in fields[1].split(",")})
        return _Kind(say["fields"].format(", ".join(names)), say["some fields"])
    if calls := _CALLS.findall(reason):
        return _Kind("; ".join(sorted({f"{what}: {name}" for what, name in calls})), say["calls"])
    if not reason or _MEASURE.match(reason):
        band = say["far" if score < 0.3 else "partly" if score < 0.7 else "nearly"] if reason or score else say["wrong"]
        return _Kind(band, band)
    general = _PARTICULARS.sub("…", reason)
    return _Kind(general[:80], re.split(r"[:;]", general, maxsplit=1)[0][:80])


_Group = tuple[str, list[int]]


def _by_kind(kinds: Sequence[_Kind], smallest: int, language: Language) -> list[_Group]:
    """Members of each kind; small ones under their wider kind, and those of too many kinds under "other reasons"."""
    exact = Counter(kind.exact for kind in kinds)
    names = [kind.exact if exact[kind.exact] >= smallest else kind.wide for kind in kinds]
    counts = Counter(names)
    kept = set(counts)
    if len(counts) > MOST_GROUPS:
        kept = {name for name, count in counts.most_common(MOST_GROUPS - 1) if count >= smallest}
    other = _TEXTS[language]["other"]
    groups: dict[str, list[int]] = {}
    for member, name in enumerate(names):
        groups.setdefault(name if name in kept else other, []).append(member)
    return list(groups.items())


# --- what the questions are about --------------------------------------------------------------------------------------

_WORD = re.compile(r"[가-힣]{2,12}|[a-z][a-z0-9_+#-]{2,30}")
_SAYS_NOTHING_EN = (
    "the and for with that this from are was were what when where which who why how can could would should does did has have had "
    "not you your yours our their there they them its about into after before please will than then but any all get got"
)
_SAYS_NOTHING_KO = (
    "어떻 어떻게 어디 언제 얼마 무엇 누구 어느 며칠 알리 알려 부탁 문의 안녕 질문 궁금하 궁금 여쭙 드리 주시 저기 혹시 그런데 "
    "그리고 말하 가능 그러 이러 답하 먼저 수고 실례 죄송 여쭤보 모르"
)
_SAYS_NOTHING = frozenset(f"{_SAYS_NOTHING_EN} {_SAYS_NOTHING_KO}".split())


def _content_words(questions: Sequence[str]) -> list[tuple[str, ...]]:
    """The words of each question that say what it is about, in order.

    Of a Korean word the morphemes with content, two syllables or more; they are looked up once for each of the most frequent
    spellings. Without morphemes, its first two syllables.
    """
    spelled = [_WORD.findall(normalise(question)[:LONGEST_QUESTION].casefold()) for question in questions]
    counts = Counter(word for words in spelled for word in set(words))
    korean = korean_text()
    known: dict[str, tuple[str, ...]] = {}
    for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_SPELLINGS]:
        if not "가" <= word[0] <= "힣":
            found: tuple[str, ...] = (word,)
        elif isinstance(korean, PlainText):
            found = (word[:2],)
        else:
            found = tuple(token for token in korean.tokens(word) if len(token) > 1)
        known[word] = tuple(term for term in found if term not in _SAYS_NOTHING)
    return [tuple(term for word in words for term in known.get(word, ())) for words in spelled]


def _tf_idf(texts: Sequence[Sequence[str]], corpus: Sequence[Sequence[str]]) -> _Vectors:
    """Unit rows of hashed character n-grams, weighted by their rarity in `corpus`, shape (texts, FEATURES)."""
    _, seen_features, _ = _counted(corpus)
    rarity = np.log((1 + len(corpus)) / (1 + np.bincount(seen_features, minlength=FEATURES))) + 1e-3
    rows, features, counts = _counted(texts)
    vectors = np.zeros((len(texts), FEATURES), dtype=np.float32)
    vectors[rows, features] = (1 + np.log(counts)) * rarity[features]
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    return vectors


def _counted(texts: Sequence[Sequence[str]]) -> tuple[_Places, _Places, _Places]:
    """Row, feature and count of every n-gram that stands in a text."""
    known = {word: _features(word) for word in {word for words in texts for word in words}}
    pieces = [(row, known[word]) for row, words in enumerate(texts) for word in words]
    if not pieces:
        return (np.zeros(0, dtype=np.int64),) * 3
    rows = np.repeat([row for row, _ in pieces], [len(found) for _, found in pieces])
    places, counts = np.unique(rows * FEATURES + np.concatenate([found for _, found in pieces]), return_counts=True)
    return places // FEATURES, places % FEATURES, counts


def _features(word: str) -> _Places:
    """One number in [0, FEATURES) for every n-gram of the word between two spaces."""
    codes = np.frombuffer(f" {word} ".encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
    found = []
    for n in NGRAMS:
        value = np.full(max(0, len(codes) - n + 1), n, dtype=np.int64)
        for offset in range(n):
            value = (value * 1_000_003 + codes[offset : offset + len(value)]) & 0x7FFF_FFFF
        found.append((value * 40_503 >> 12) % FEATURES)
    return np.concatenate(found)


def _split(groups: list[_Group], vectors: _Vectors, smallest: int) -> list[_Group]:
    """Halve the largest group again and again, where its halves are clearly more alike."""
    whole: list[_Group] = []
    while groups and len(groups) + len(whole) < MOST_GROUPS:
        groups.sort(key=lambda group: (len(group[1]), -group[1][0]))
        kind, members = groups.pop()
        side = _halves(vectors[members], smallest) if len(members) >= 2 * smallest else None
        if side is None:
            whole.append((kind, members))
        else:
            groups += [(kind, [m for m, there in zip(members, side, strict=True) if there == which]) for which in (False, True)]
    return whole + groups


def _halves(vectors: _Vectors, smallest: int) -> list[bool] | None:
    """On which side each row lies, or None if the group is better left whole."""
    centre = vectors.sum(0)
    side = _along_main_direction(vectors)
    for _ in range(ROUNDS):
        if not smallest <= side.sum() <= len(side) - smallest:
            return None
        near = [vectors @ _unit(vectors[which].sum(0)) for which in (~side, side)]
        new = near[1] > near[0]
        if (new == side).all():
            break
        side = new
    if not smallest <= side.sum() <= len(side) - smallest:
        return None
    alike = sum(float(np.linalg.norm(vectors[which].sum(0))) for which in (side, ~side))
    if (alike - float(np.linalg.norm(centre))) / len(vectors) < _gain_by_chance(len(vectors)):
        return None
    return [bool(there) for there in side]


def _gain_by_chance(count: int) -> float:
    """How much closer to their centres rows come when they are halved, even if they have nothing in common.

    Measured on questions whose words were dealt out anew among them (40 to 3,000 of banking77 and of a shop), a tenth added.
    """
    return 0.24 / sqrt(count) + 0.015


def _along_main_direction(vectors: _Vectors) -> NDArray[np.bool_]:
    """Which rows lie beyond the middle in the direction in which they differ most, found by power iteration."""
    centred = vectors - vectors.mean(0)
    direction = centred[int((centred * centred).sum(1).argmax())]
    for _ in range(ROUNDS):
        direction = _unit(centred.T @ (centred @ direction))
    return np.asarray(centred @ direction > 0)


def _most_central(vectors: _Vectors) -> list[int]:
    """Positions of the rows most like the others."""
    order = np.argsort(-(vectors @ _unit(vectors.sum(0))), kind="stable")
    return [int(i) for i in order[:EXAMPLES_SHOWN]]


def _unit(vector: _Vectors) -> _Vectors:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else vector


# --- the name of a group -----------------------------------------------------------------------------------------------


def _telling_words(inside: Sequence[Sequence[str]], everywhere: Mapping[str, int], examples: int) -> tuple[str, ...]:
    """Words that tell the group's questions from all others, most telling first.

    By the log-odds that a question holds the word, inside against outside, over its standard error, with a prior of one question.
    """
    outside = examples - len(inside)
    if not outside:
        return ()
    counts = Counter(term for terms in inside for term in set(terms))
    needed = max(min(2, len(inside)), ceil(COMMON_SHARE * len(inside)))
    weighed = []
    for term, count in counts.items():
        if everywhere[term] == examples:
            continue
        prior = everywhere[term] / examples
        elsewhere = everywhere[term] - count
        odds_inside = log((count + prior) / (len(inside) + 1 - count - prior))
        odds_outside = log((elsewhere + prior) / (outside + 1 - elsewhere - prior))
        z = (odds_inside - odds_outside) / sqrt(1 / (count + prior) + 1 / (elsewhere + prior))
        if count >= needed and z > 0:
            weighed.append((-z, -len(term), term))
    by_beginning: dict[str, str] = {}
    for _, _, term in sorted(weighed):
        by_beginning.setdefault(term[:2] if "가" <= term[0] <= "힣" else term[:5], term)  # transfer, transferred
    return tuple(by_beginning.values())[:WORDS_SHOWN]
