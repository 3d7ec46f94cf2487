"""Is fine-tuning the right tool at all? Rules, each with what triggers it and the evidence that it was triggered by.

Facts that change are looked up, not learnt; form, style, labels and tool calls are learnt; general knowledge is neither: it is
in the model already, or in a larger one. The rules are advice before anything is measured; the climb decides.

Source:
    Tuning teaches new facts badly and invites invention: Gekhman et al. (2024), arXiv 2405.05904; retrieval beats it for facts:
    Ovadia et al. (2024), arXiv 2312.05934. Form and style are learnt from few rows: Zhou et al. (2023), LIMA, arXiv 2305.11206.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from sadari.check.leaks import stands_in
from sadari.check.remark import Level, Remark, Wording, remark
from sadari.task import Task, fold

Tool = Literal["retrieval", "tuning", "prompt", "neither"]

LOOKED_AT = 1000
"""Examples, of train first, that evidence is drawn from."""

EDGE = 5
"""Characters at either end of an answer by which a common style is seen."""

FEW_ROWS = 50


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the answers of a task look like; shares are in [0, 1] of the answers that were looked at.

    Args:
        in_documents: Answers, or required facts, that stand in the documents.
        spans: Answers with a gold place in the documents.
        numbers: Answers that hold a digit: a number, date or price.
        calls: Answers that call a tool.
        json: Answers that are JSON objects or lists.
        style: Answers that share their first or last five characters with many others.
        characters: Median length of an answer.
        computed: Whether answers are scored as numbers or run as queries, and so are worked out, not remembered.
        tunes: Whether the ladder has a rung that trains.
    """

    train_rows: int
    documents: int
    labels: int
    in_documents: float
    spans: float
    numbers: float
    calls: float
    json: float
    style: float
    characters: float
    computed: bool
    tunes: bool

    @property
    def has_form(self) -> bool:
        """Whether there is anything that tuning is good at."""
        return bool(self.labels) or max(self.calls, self.json) >= 0.3 or self.style >= 0.4


@dataclass(frozen=True, slots=True)
class Rule:
    """When `holds`, `tool` is advised, in the words of `wording`, which may quote any field of the evidence."""

    name: str
    tool: Tool
    level: Level
    holds: Callable[[Evidence], bool]
    wording: Wording


def gather_evidence(task: Task) -> Evidence:
    """Look at the answers of train and validation; test is left alone."""
    examples = [e for e in (*task.train, *task.validation) if e.kind == "chat"][:LOOKED_AT]
    answers = [e.target.content.strip() for e in examples]
    spoken = [a for a in answers if a]
    documents = "\n".join(fold(d.text) for d in task.documents)
    return Evidence(
        train_rows=len(task.train),
        documents=len(task.documents),
        labels=len(task.labels),
        in_documents=_share(stands_in(e, documents) for e in examples),
        spans=_share(bool(e.reference.spans) for e in examples),
        numbers=_share(any(c.isdigit() for c in a) for a in answers),
        calls=_share(bool(e.target.tool_calls or e.reference.calls) for e in examples),
        json=_share(_is_json(a) for a in answers),
        style=_common_edge(spoken),
        characters=median(map(len, spoken)) if spoken else 0.0,
        computed=task.score.by in ("number", "sql"),
        tunes=any(rung.name not in ("prompt", "retrieval") for rung in task.ladder),
    )


def advise(task: Task) -> list[Remark]:
    """One remark for each rule that holds."""
    evidence = gather_evidence(task)
    if not evidence.train_rows:
        return []
    values = {name: getattr(evidence, name) for name in Evidence.__slots__}
    return [remark("tool", rule.level, rule.wording, task.language, **values) for rule in RULES if rule.holds(evidence)]


def _share(claims: Iterable[bool]) -> float:
    values = list(claims)
    return fmean(values) if values else 0.0


def _is_json(answer: str) -> bool:
    if answer[:1] not in ("{", "["):
        return False
    try:
        json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return True


def _common_edge(answers: Sequence[str]) -> float:
    """Share of the different answers, each of 20 characters or more, that begin or end alike."""
    long = list(dict.fromkeys(a for a in answers if len(a) >= 4 * EDGE))
    if len(long) < 20:
        return 0.0
    edges = (Counter(a[:EDGE] for a in long), Counter(a[-EDGE:] for a in long))
    return max(counts.most_common(1)[0][1] for counts in edges) / len(long)


RULES = (
    Rule(
        "answers in documents",
        "retrieval",
        "info",
        lambda e: bool(e.documents) and max(e.in_documents, e.spans) >= 0.3,
        {
            "en": (
                "Look it up: {in_documents:.0%} of the answers stand in the {documents} documents. Retrieval brings them, and when "
                "a document changes so does the answer; tuning helps to read and to cite, not to remember.",
                "",
            ),
            "ko": (
                "찾아서 답할 일입니다. 답의 {in_documents:.0%}가 문서 {documents}개 안에 있습니다. 검색하면 문서가 바뀔 때 "
                "답도 함께 바뀝니다. 튜닝은 읽고 인용하는 데 도움이 되지, 외우는 데 쓰는 것이 아닙니다.",
                "",
            ),
        },
    ),
    Rule(
        "changing facts without documents",
        "retrieval",
        "warning",
        lambda e: not e.documents and not e.labels and not e.computed and e.numbers >= 0.3 and e.calls < 0.3,
        {
            "en": (
                "{numbers:.0%} of the answers hold numbers, dates or prices, and there are no documents. What is learnt into the "
                "weights is stale when it changes, and is easily invented.",
                "Give the pages that say so as `documents:`, or a tool that looks them up.",
            ),
            "ko": (
                "답의 {numbers:.0%}에 숫자, 날짜, 가격이 들어 있는데 문서가 없습니다. 가중치에 외운 사실은 바뀌면 낡고, 지어내기도 "
                "쉽습니다.",
                "그 내용이 적힌 문서를 `documents:`로 주거나, 조회하는 도구를 주세요.",
            ),
        },
    ),
    Rule(
        "labels",
        "tuning",
        "info",
        lambda e: bool(e.labels),
        {
            "en": ("Answers are {labels} labels: tuning learns them well, and a small model is enough.", ""),
            "ko": ("답이 라벨 {labels}개입니다. 튜닝으로 잘 배우고, 작은 모델로 충분합니다.", ""),
        },
    ),
    Rule(
        "tool calls",
        "tuning",
        "info",
        lambda e: e.calls >= 0.3,
        {
            "en": ("{calls:.0%} of the answers call a tool: tuning teaches when and with which arguments.", ""),
            "ko": ("답의 {calls:.0%}가 도구 호출입니다. 언제 어떤 인자로 부를지는 튜닝으로 배웁니다.", ""),
        },
    ),
    Rule(
        "json",
        "tuning",
        "info",
        lambda e: e.json >= 0.3,
        {
            "en": ("{json:.0%} of the answers are JSON: a form that tuning teaches.", ""),
            "ko": ("답의 {json:.0%}가 JSON입니다. 이런 형식은 튜닝으로 배웁니다.", ""),
        },
    ),
    Rule(
        "style",
        "tuning",
        "info",
        lambda e: e.style >= 0.4 and not e.labels and e.calls < 0.3 and e.json < 0.3,
        {
            "en": ("{style:.0%} of the answers begin or end alike: a style, which tuning teaches with few rows.", ""),
            "ko": ("답의 {style:.0%}가 시작이나 끝이 같습니다. 이런 말투는 적은 행으로도 튜닝됩니다.", ""),
        },
    ),
    Rule(
        "worked out",
        "prompt",
        "info",
        lambda e: e.computed,
        {
            "en": ("Answers are worked out, not remembered: reasoning first, a calculator or a database help most.", ""),
            "ko": ("외우는 답이 아니라 풀어내는 답입니다. 먼저 생각하게 하거나 계산기, 데이터베이스를 주는 것이 좋습니다.", ""),
        },
    ),
    Rule(
        "general knowledge",
        "neither",
        "warning",
        lambda e: e.tunes and not e.documents and not e.has_form and not e.computed and e.numbers < 0.3 and 0 < e.characters <= 40,
        {
            "en": (
                "Short answers (median {characters:.0f} characters), no documents, no common form: if this is general knowledge, "
                "neither retrieval nor tuning teaches it.",
                "Try a larger model with the prompt rung alone first, or give the documents that the answers come from.",
            ),
            "ko": (
                "답이 짧고(중앙값 {characters:.0f}자) 문서도 정해진 형식도 없습니다. 일반 상식이라면 검색으로도 튜닝으로도 "
                "가르칠 수 없습니다.",
                "먼저 더 큰 모델로 프롬프트 단계만 시험하거나, 답의 근거가 되는 문서를 주세요.",
            ),
        },
    ),
    Rule(
        "few rows",
        "prompt",
        "warning",
        lambda e: e.tunes and e.train_rows < FEW_ROWS,
        {
            "en": (
                "{train_rows} train rows are few to tune on: shown in the prompt they bring more, and tuning may "
                "learn them by heart.",
                "Collect 200 or more before tuning is given much time.",
            ),
            "ko": (
                "학습 행 {train_rows}개는 튜닝하기에 적습니다. 프롬프트에 예로 보이는 편이 낫고, 튜닝하면 통째로 외울 수 있습니다.",
                "튜닝에 시간을 들이기 전에 200개 이상 모으세요.",
            ),
        },
    ),
)
