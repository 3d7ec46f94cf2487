"""Which of two systems people prefer when they do not know which is which, and what that teaches a judge.

Answers were given ahead of time: the kept predictions of a climb, or two files of answers; no model is loaded.

Covered: which side a system stands on, and the order of the questions, are drawn anew for each person from the seed of the
comparison; names are told to nobody before that person has rated every question; equal answers are ties that nobody is shown; each
question counts once, however many people rated it. Labels for a judge are taken only where all who said whether an answer is right
said the same.
Not covered: an answer that gives its system away by its manner, people who talk to each other, and personal data in files of
answers, which is masked in labels only; remove a comparison when it is done.
"""

import hashlib
import json
import secrets
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sadari.agent.log.database import Database
from sadari.errors import DataError
from sadari.files import read_lines, write_text
from sadari.measure.judging.judge_prompt import said
from sadari.measure.statistics import mcnemar_mid_p, paired_interval
from sadari.measurer import Prediction
from sadari.task.mask import Masker
from sadari.types import Example

Choice = Literal["first", "second", "tie"]
Right = Literal["", "yes", "no"]

MOST_PAIRS = 2_000
"""Questions of one comparison."""

LONGEST = 50_000
"""Characters of one text."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one question.

    Args:
        messages: The conversation up to the answers, as `{"role", "content"}`.
        reference: Right answers, if there are any.
    """

    messages: tuple[Mapping[str, str], ...]
    first: str
    second: str
    reference: tuple[str, ...] = ()

    @property
    def is_tie(self) -> bool:
        """Whether the answers are equal, so that nobody has to be asked."""
        return self.first.strip() == self.second.strip()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems, and what each said to the same questions."""

    name: str
    title: str
    first: str
    second: str
    seed: int
    made_by: str
    created: str
    pairs: tuple[Pair, ...]

    @property
    def asked(self) -> tuple[int, ...]:
        """The pairs that people are shown, by their places."""
        return tuple(at for at, pair in enumerate(self.pairs) if not pair.is_tie)

    def order_for(self, rater: str) -> list[int]:
        """The order in which one person is shown the pairs."""
        return sorted(self.asked, key=lambda at: _drawn(self.seed, rater, at, "order"))

    def is_turned_for(self, rater: str, at: int) -> bool:
        """Whether the second system stands on the left."""
        return _drawn(self.seed, rater, at, "side") % 2 == 1


@dataclass(frozen=True, slots=True)
class BlindRating:
    """What one person thinks of one pair.

    Args:
        pair: Its place in the comparison.
        first_right, second_right: Whether the answer is right, "" if the person did not say.
    """

    pair: int
    rater: str
    choice: Choice
    first_right: Right = ""
    second_right: Right = ""
    note: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class BlindResult:
    """What a comparison came to.

    Args:
        first_better, second_better, ties: Questions by what most of those who rated them say; equal answers are ties.
        gain: Mean over questions of +1 (second better), 0, -1, in [-1, 1]; `low` to `high` is its 95 % interval.
        p_value: Two-sided sign test (mid-p) over questions, ties left out.
        alpha: Krippendorff's alpha of the raters' choices, at most 1; None with fewer than two raters, or if all chose one thing.
        left, right: How often either side was chosen; far apart, people go by the side.
        side_p: Two-sided p that the sides are chosen alike.
    """

    raters: int
    rated: int
    first_better: int
    second_better: int
    ties: int
    gain: float
    low: float
    high: float
    p_value: float
    alpha: float | None
    left: int
    right: int
    side_p: float


def result_of(comparison: Comparison, ratings: Sequence[BlindRating]) -> BlindResult | None:
    """What people say on the whole; None while nobody rated anything."""
    votes: dict[int, list[int]] = {}
    for rating in ratings:
        votes.setdefault(rating.pair, []).append({"first": -1, "tie": 0, "second": 1}[rating.choice])
    if not votes:
        return None
    means = [sum(one) / len(one) for one in votes.values()] + [0.0] * (len(comparison.pairs) - len(comparison.asked))
    signs = Counter((mean > 0) - (mean < 0) for mean in means)
    low, high = paired_interval(means)
    sides = Counter(
        (rating.choice == "first") != comparison.is_turned_for(rating.rater, rating.pair)
        for rating in ratings
        if rating.choice != "tie"
    )
    return BlindResult(
        raters=len({rating.rater for rating in ratings}),
        rated=len(votes),
        first_better=signs[-1],
        second_better=signs[1],
        ties=signs[0],
        gain=sum(means) / len(means),
        low=low,
        high=high,
        p_value=mcnemar_mid_p(signs[-1], signs[1]),
        alpha=krippendorff_alpha([[str(vote) for vote in one] for one in votes.values()]),
        left=sides[True],
        right=sides[False],
        side_p=mcnemar_mid_p(sides[True], sides[False]),
    )


def krippendorff_alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Agreement beyond chance of any number of raters, not all of whom rated everything; categories without an order.

    Args:
        units: For each thing that was rated, what its raters said.

    Returns:
        1 for agreement, 0 for what chance gives, below 0 for less; None if nothing can be told from these.

    Source:
        Krippendorff (2011), Computing Krippendorff's Alpha-Reliability.
    """
    shared = [Counter(unit) for unit in units if len(unit) > 1]
    totals = sum(shared, Counter[str]())
    n = totals.total()
    expected = n * n - sum(count * count for count in totals.values())
    if not expected:
        return None
    observed = sum((one.total() ** 2 - sum(count * count for count in one.values())) / (one.total() - 1) for one in shared)
    return 1 - (n - 1) * observed / expected


# --- where pairs come from -------------------------------------------------------------------------------------------------


def pairs_of_files(first: tuple[str, str], second: tuple[str, str]) -> list[Pair]:
    """The pairs of two files of answers, by `id` or by what was asked.

    Args:
        first, second: Name and text of each: JSONL, a row with `answer`, and `question` or `messages`; `id` and `reference` may
            stand beside them.

    Raises:
        DataError: If a row is wrong, or the two have no question in common.
    """
    rows = [dict(_answers(*one)) for one in (first, second)]
    common = [key for key in rows[0] if key in rows[1]]
    if not common:
        raise DataError(
            f"{first[0]} and {second[0]} answer no question in common. Give rows the same `id`, or the same `question`."
        )
    return _checked([_joined(rows[0][key], rows[1][key]) for key in common])


def pairs_of_run(run: Path, first: str, second: str, examples: Sequence[Example]) -> list[Pair]:
    """The pairs of two steps of a climb, from the predictions that it kept.

    Args:
        first, second: Steps, as `steps_of` names them.
        examples: The test examples of the task.

    Raises:
        DataError: If a step kept no predictions, or the task's test set is another one by now.
    """
    for name in (first, second):
        if name not in steps_of(run):
            raise DataError(f"run {run.name} kept no predictions of {name[:60]}. It has: {', '.join(steps_of(run)) or 'none'}.")
    by_id = {example.id: example for example in examples}
    one, other = ({p.id: p.answer for p in read_lines(_predictions(run, name), Prediction)} for name in (first, second))
    common = [name for name in one if name in other and name in by_id]
    if not common:
        raise DataError(f"run {run.name} was judged by other test examples than the task has now. Climb again.")
    return _checked(
        [Pair(_messages_of(by_id[name]), said(one[name]), said(other[name]), tuple(by_id[name].reference.texts)) for name in common]
    )


def steps_of(run: Path) -> list[str]:
    """The steps of a climb whose predictions it kept, in order."""
    return sorted((file.stem for file in (run / "predictions").glob("*.jsonl")), key=lambda name: int(name.partition("-")[0]))


def _predictions(run: Path, step: str) -> Path:
    return run / "predictions" / f"{step}.jsonl"


def _checked(pairs: list[Pair]) -> list[Pair]:
    if len(pairs) > MOST_PAIRS:
        raise DataError(f"{len(pairs):,} questions are more than people rate. Take at most {MOST_PAIRS:,}.")
    if all(pair.is_tie for pair in pairs):
        raise DataError("all answers of the two are equal, so there is nothing to compare.")
    return pairs


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> Pair:
    return Pair(first["messages"], first["answer"], second["answer"], first["reference"] or second["reference"])


def _answers(name: str, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a file of answers, by what they are matched by."""
    problems: list[str] = []
    seen: set[str] = set()
    for number, line in enumerate(unicodedata.normalize("NFC", text).split("\n"), 1):
        if not line.strip():
            continue
        try:
            key, row = _answer_row(line)
        except (ValueError, RecursionError) as fault:
            problems.append(f"{name} line {number}: {fault}")
            continue
        if key in seen:
            problems.append(f"{name} line {number}: this question was answered above. Keep one of the answers.")
            continue
        seen.add(key)
        yield key, row
    if problems:
        raise DataError(problems)


def _answer_row(line: str) -> tuple[str, Mapping[str, Any]]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON. Each line must be one whole JSON object.") from error
    if not isinstance(row, dict):
        raise ValueError("not a JSON object. Each line must be one.")
    if not isinstance(row.get("answer"), str):
        raise ValueError("answer: must be text.")
    if isinstance(row.get("question"), str) and row["question"].strip():
        messages = [{"role": "user", "content": row["question"]}]
    else:
        messages = [_turn(turn) for turn in row["messages"]] if isinstance(row.get("messages"), list) and row["messages"] else []
    if not messages:
        raise ValueError("question: is missing. Give `question`, a text, or `messages`.")
    reference = row.get("reference", [])
    texts = [reference] if isinstance(reference, str) else reference
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError("reference: must be a text or a list of texts.")
    told = [*(turn["content"] for turn in messages), row["answer"], *texts]
    if any(len(one) > LONGEST or "\0" in one for one in told):
        raise ValueError(f"a text is longer than {LONGEST:,} characters, or holds a NUL.")
    key = f"id {row['id']}" if isinstance(row.get("id"), str | int) else json.dumps(messages, ensure_ascii=False, sort_keys=True)
    return key, {"messages": tuple(messages), "answer": row["answer"], "reference": tuple(one for one in texts if one.strip())}


def _turn(turn: Any) -> dict[str, str]:
    is_turn = isinstance(turn, dict) and turn.get("role") in ("system", "user", "assistant", "tool")
    if not is_turn or not isinstance(turn.get("content"), str):
        raise ValueError("messages: a turn needs a role and content, both texts.")
    return {"role": turn["role"], "content": turn["content"]}


def _messages_of(example: Example) -> tuple[Mapping[str, str], ...]:
    return tuple({"role": m.role, "content": m.content} for m in example.prompt if m.content.strip())


# --- what a judge learns ---------------------------------------------------------------------------------------------------


def labels_of(
    judged: Sequence[tuple[Comparison, Sequence[BlindRating]]], language: Literal["ko", "en"] = "ko"
) -> list[dict[str, Any]]:
    """Rows of the file that `score.judge.labels` names: an answer, what was asked, and whether people call it right.

    An answer about which people disagree gives none. Personal data is masked, since a judge may be elsewhere.
    """
    votes: dict[tuple[str, str], set[bool]] = {}
    asked: dict[tuple[str, str], tuple[Pair, str]] = {}
    for comparison, ratings in judged:
        for rating in ratings:
            pair = comparison.pairs[rating.pair]
            for answer, right in ((pair.first, rating.first_right), (pair.second, rating.second_right)):
                if right:
                    key = json.dumps(list(pair.messages), ensure_ascii=False), answer
                    votes.setdefault(key, set()).add(right == "yes")
                    asked.setdefault(key, (pair, answer))
    agreed = [(*asked[key], right) for key, said_of_it in votes.items() for right in said_of_it if len(said_of_it) == 1]
    masker = Masker(language)
    for pair, answer, _ in agreed:
        for text in (*(turn["content"] for turn in pair.messages), answer, *pair.reference):
            masker.reserve(text)
    for pair, answer, _ in agreed:
        for text in (*(turn["content"] for turn in pair.messages), answer, *pair.reference):
            masker.learn(text)
    rows = [_label(pair, answer, right, masker) for pair, answer, right in agreed]
    return list({json.dumps([row["messages"], row["answer"]], ensure_ascii=False): row for row in rows}.values())


def _label(pair: Pair, answer: str, right: bool, masker: Masker) -> dict[str, Any]:
    def masked(text: str) -> str:
        return masker.mask(text).text

    row: dict[str, Any] = {"messages": [{"role": t["role"], "content": masked(t["content"])} for t in pair.messages]}
    row |= {"reference": [masked(text) for text in pair.reference]} if pair.reference else {}
    return row | {"answer": masked(answer), "right": right}


def labels_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Labels as JSONL."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_labels(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write labels, in place of those that were written from here before.

    Raises:
        DataError: If there are none, or the file holds labels of somebody else's.
    """
    if not rows:
        raise DataError("nobody said of an answer whether it is right, so there are no labels to write.")
    if path.exists():
        old = {_what(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()}
        if old - {_what(json.dumps(row, ensure_ascii=False)) for row in rows}:
            raise DataError(f"{path.name} holds labels that are not from here. Move it away, or download these and join them.")
    write_text(path, labels_text(rows))


def _what(line: str) -> str:
    """What a label is about."""
    try:
        row = json.loads(line)
        return json.dumps([row["messages"], row["answer"]], ensure_ascii=False)
    except (ValueError, KeyError, TypeError, RecursionError):
        return line


# --- what is kept ----------------------------------------------------------------------------------------------------------


class BlindTable:
    """Comparisons and what people said in them, beside the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, title: str, names: tuple[str, str], pairs: Sequence[Pair], by: str) -> Comparison:
        """Begin a comparison."""
        seed = secrets.randbelow(2**31)
        made = Comparison(secrets.token_hex(6), title, *names, seed, by, _now(), tuple(pairs))
        values = asdict(made) | {"pairs": json.dumps([asdict(pair) for pair in pairs], ensure_ascii=False)}
        with self._database.writing(sync=True) as connection:
            connection.execute(_INSERT, values)
        return made

    def find(self, name: str) -> Comparison | None:
        """The comparison of that name."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM serve_blind WHERE name = :name", {"name": name}).fetchone()
        return _comparison(row) if row is not None else None

    def all(self) -> list[Comparison]:
        """The comparisons, newest first."""
        with self._database.reading() as connection:
            rows: Sequence[Any] = connection.execute("SELECT * FROM serve_blind ORDER BY created DESC, name").fetchall()
        return [_comparison(row) for row in rows]

    def rate(self, comparison: Comparison, rating: BlindRating) -> None:
        """Keep what a person thinks of a pair, in place of what the same person thought before."""
        values = asdict(rating) | {"comparison": comparison.name, "time": _now()}
        with self._database.writing(sync=True) as connection:
            connection.execute(_RATE, values)

    def ratings(self, name: str) -> list[BlindRating]:
        """What people said in a comparison."""
        columns = "pair, rater, choice, first_right, second_right, note, time"
        statement = f"SELECT {columns} FROM serve_blind_ratings WHERE comparison = :name ORDER BY rater, pair"
        with self._database.reading() as connection:
            rows: Sequence[Any] = connection.execute(statement, {"name": name}).fetchall()
        return [BlindRating(*(row[c] for c in columns.split(", "))) for row in rows]

    def remove(self, name: str) -> None:
        """Drop a comparison, its texts and its ratings."""
        with self._database.writing(sync=True) as connection:
            for statement in _REMOVE:
                connection.execute(statement, {"name": name})


_INSERT = (
    "INSERT INTO serve_blind (name, title, first, second, seed, made_by, created, pairs) "
    "VALUES (:name, :title, :first, :second, :seed, :made_by, :created, :pairs)"
)
_RATE = (
    "INSERT INTO serve_blind_ratings (comparison, pair, rater, choice, first_right, second_right, note, time) "
    "VALUES (:comparison, :pair, :rater, :choice, :first_right, :second_right, :note, :time) "
    "ON CONFLICT (comparison, pair, rater) DO UPDATE SET choice = excluded.choice, first_right = excluded.first_right, "
    "second_right = excluded.second_right, note = excluded.note, time = excluded.time"
)
_REMOVE = ("DELETE FROM serve_blind_ratings WHERE comparison = :name", "DELETE FROM serve_blind WHERE name = :name")


def _comparison(row: Any) -> Comparison:
    pairs = tuple(
        Pair(tuple(pair["messages"]), pair["first"], pair["second"], tuple(pair["reference"])) for pair in json.loads(row["pairs"])
    )
    told = {name: row[name] for name in ("name", "title", "first", "second", "seed", "made_by", "created")}
    return Comparison(**told, pairs=pairs)


def _drawn(seed: int, rater: str, at: int, what: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{at}\n{what}\n{rater}".encode()).digest()[:8])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
