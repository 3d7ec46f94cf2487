"""The rung that reads on, on a tiny model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sadari.errors import TrainingError
from sadari.files import write_lines
from sadari.measure import choose_scorer
from sadari.model.local import LocalModel
from sadari.rungs.pretrain import PretrainConfig, PretrainRung
from sadari.types import Decoding, Document, Example, Message, Prompt, Reference, System, Workshop

SETTINGS: dict[str, Any] = {"epochs": 30, "max_steps": 30, "looks": 1, "rank": 4, "learning_rate": 0.01, "length": 64}
TEXTS = tuple(
    Example(f"text-{i}", (Message("assistant", f"{i}번 창고의 출고 시각은 {i + 9}시이고 담당은 {i}팀입니다."),), kind="text")
    for i in range(4)
)
VALIDATION = tuple(
    Example(f"v{i}", (Message("user", f"{i}번 창고 출고는?"), Message("assistant", f"{i + 9}시")), Reference((f"{i + 9}시",)))
    for i in range(2)
)


def workshop(documents: Path | None = None) -> Workshop:
    return Workshop(
        goal="답한다.",
        language="ko",
        labels=(),
        tools=(),
        documents=documents,
        scorer=choose_scorer(VALIDATION, "text", language="ko"),
        evaluate=lambda *_: pytest.fail("reading on chooses no decoding"),
        load=lambda system: LocalModel(system.model, adapter=system.adapter),
    )


@pytest.fixture
def incumbent(checkpoint: Callable[[str], Path]) -> System:
    return System(str(checkpoint("qwen2")), prompt=Prompt("답한다.", shots=2), decoding=Decoding(max_new_tokens=4))


def test_texts_and_documents_are_read_and_the_system_stays_as_it_was_but_for_an_adapter(incumbent: System, tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", [Document("a.md", "배송", "배송은 이틀 걸립니다. " * 20)], Document)
    plain = incumbent.with_(prompt=Prompt("답한다."))
    chats = [*TEXTS, Example("chat", (Message("user", "언제?"), Message("assistant", "곧")), Reference(("곧",)))]
    built = PretrainRung(PretrainConfig(**SETTINGS), workshop(tmp_path / "d.jsonl")).build(
        plain, chats, VALIDATION, tmp_path / "work"
    )
    assert built.system == plain.with_(adapter=tmp_path / "work/adapter")
    assert built.notes[0].startswith("read 4 texts and 1 documents in ")
    assert built.notes[0].endswith(" blocks of at most 64 tokens")
    losses = [loss for _, loss in built.curves[0].points]
    assert losses[-1] < 0.5 * losses[0]


def test_without_raw_text_there_is_an_error(incumbent: System, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no raw text to read on"):
        PretrainRung(PretrainConfig(**SETTINGS), workshop()).build(incumbent, VALIDATION, VALIDATION, tmp_path)


def test_documents_are_left_out_where_only_texts_are_asked_for(incumbent: System, tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", [Document("a.md", "배송", "배송은 이틀 걸립니다.")], Document)
    rung = PretrainRung(PretrainConfig(**SETTINGS, documents=False), workshop(tmp_path / "d.jsonl"))
    with pytest.raises(TrainingError, match="there is no raw text to read on"):
        rung.build(incumbent.with_(prompt=Prompt("답한다.")), VALIDATION, VALIDATION, tmp_path / "work")
