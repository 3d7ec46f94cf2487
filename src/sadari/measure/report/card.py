"""The model card of the winner: what it is, what it was measured to do, and what nobody measured.

Source:
    Mitchell et al. (2019), Model Cards for Model Reporting, arXiv 1810.03993. The head is the YAML that model hubs read.
"""

import json
from pathlib import Path

from sadari.measure.report.data import RunData, gain_over_baseline, run_json
from sadari.measure.report.page import answer_sentence
from sadari.measure.report.sections import Section, Table, section_markdown
from sadari.measure.verdict import format_p
from sadari.measure.words import Words


def model_card(run: RunData) -> str:
    """The card as Markdown, in the language of the run."""
    words = Words(run.language, run.currency)
    korean, numbers = run.language == "ko", run_json(run)
    winner = run.steps[run.winner]
    card = winner.scorecard
    head = {
        "language": run.language,
        "library_name": "sadari",
        "base_model": _base(run),
        "tags": ["sadari", winner.rung],
    }
    limits = (
        (
            f"숫자는 테스트 {len(card.ids):,}문항에 대한 것입니다. 테스트와 다른 질문에는 맞지 않을 수 있습니다.",
            "편향, 유해한 내용, 테스트에 없는 언어와 분야는 측정하지 않았습니다.",
            "바탕 모델과 학습 데이터의 라이선스는 그대로 적용됩니다.",
        )
        if korean
        else (
            f"The figures hold for the {len(card.ids):,} test examples; questions of another kind may be answered worse.",
            "Bias, harmful content, and languages and subjects outside the test set were not measured.",
            "The licences of the base model and of the training data still apply.",
        )
    )
    kept = [section for section in run.sections if section.name in ("slices", "tuning", "audit", "failures", "leaks")]
    title = f"{run.task.rstrip('/').rpartition('/')[2]}: {winner.rung}"
    sections = [
        Section("card", title, (answer_sentence(run, numbers, words), run.goal)),
        Section("what", "무엇인가" if korean else "What it is", (), _what(run)),
        Section(
            "measured",
            "측정 결과" if korean else "Measured",
            (f"{words.text['scorer']}: {run.scorer}",),
            (),
            (_measured(run, words),),
        ),
        Section("build", "만든 방법" if korean else "How it was built", (), winner.built.notes),
        *kept,
        Section("limits", "한계" if korean else "Limits", (), limits),
    ]
    front = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())
    body = "\n\n".join(section_markdown(section, depth=2 if at else 1) for at, section in enumerate(sections))
    return f"---\n{front}\n---\n\n{body}\n\n{words.text['made_by']}\n"


def _base(run: RunData) -> str:
    """The model that the climb began with; of a folder its name alone, since a card travels and a path does not."""
    model = run.steps[0].built.system.model
    return Path(model).name if Path(model).is_absolute() else model


def _what(run: RunData) -> tuple[str, ...]:
    korean, system = run.language == "ko", run.steps[run.winner].built.system
    what = {
        ("기법" if korean else "technique"): run.steps[run.winner].rung,
        ("바탕 모델" if korean else "base model"): _base(run),
        ("어댑터" if korean else "adapter"): "yes" if system.adapter else "no",
        ("정밀도" if korean else "precision"): system.precision,
        ("검색" if korean else "retrieval"): f"{system.retrieval.source}, k = {system.retrieval.k}" if system.retrieval else "-",
        ("지시문" if korean else "instruction"): system.prompt.instruction or "-",
        ("답하지 않을 때" if korean else "abstention"): system.abstention,
    }
    return tuple(f"{name}: {value}" for name, value in what.items())


def _measured(run: RunData, words: Words) -> Table:
    korean, card, line = run.language == "ko", run.steps[run.winner].scorecard, run_json(run)["steps"][run.winner]
    over = gain_over_baseline(run)
    interval = words.between(words.share(card.low), words.share(card.high))
    gain = f"{words.points(over.gain)} ({words.between(words.points(over.low, sign=False), words.points(over.high, sign=False))})"
    return Table(
        ("측정" if korean else "measure", "값" if korean else "value"),
        (
            (words.text["quality"], f"{words.share(card.quality)} ({interval})"),
            (words.text["gain_over"].format(rung=run.steps[0].rung), f"{gain}, p = {format_p(over.p_value or 0.0)}"),
            (words.text["latency"], f"{words.seconds(line['p50_latency_s'])}, p95 {words.seconds(line['p95_latency_s'])}"),
            (words.text["request_cost"], words.money(line["cost_per_1000_requests"])),
            (words.text["failures"], str(card.failures)),
        ),
    )
