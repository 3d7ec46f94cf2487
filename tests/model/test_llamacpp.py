"""GGUF files through llama.cpp, against the same weights run by sadari's own engine, and files that are none."""

import json
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gguf_files import write_gguf
from sadari.errors import ConfigError, ModelError
from sadari.model.chat import render_prompt
from sadari.model.load import load_model
from sadari.model.local import LocalModel
from sadari.types import Grammar, JsonSchema, Message, Model, OneOf, Regex, Request, StreamingModel, ToolSpec

QUESTIONS = ["환불 되나요?", "배송은 며칠 걸리나요? 주문은 12345번입니다.", "쿠폰", "교환 신청을 취소하고 싶습니다. 어떻게 하나요?"]


def requests(n: int = 24, **settings) -> list[Request]:
    system = Message("system", "고객 문의에 정중하게 답한다. " * 4)
    return [Request((system, Message("user", f"{i}. {QUESTIONS[i % 4]}")), max_new_tokens=16, **settings) for i in range(n)]


@pytest.fixture(scope="module")
def gguf(checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Qwen3 checkpoint as a GGUF file in float32."""
    pytest.importorskip("gguf")
    return write_gguf(checkpoint("qwen3"), tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def tiny(gguf: Path):
    """The file, loaded by llama.cpp."""
    pytest.importorskip("llama_cpp")
    from sadari.model.llamacpp import LlamaCppModel

    return LlamaCppModel(gguf)


@pytest.fixture(scope="module")
def same(checkpoint: Callable[[str], Path]) -> LocalModel:
    """The same weights in sadari's own engine."""
    return LocalModel(checkpoint("qwen3"))


# --- the same answers -----------------------------------------------------------------------------------------------------------


def test_it_is_a_streaming_model(tiny) -> None:
    assert isinstance(tiny, Model)
    assert isinstance(tiny, StreamingModel)


def test_prompts_are_split_as_the_tokenizer_splits_them(tiny, same) -> None:
    tools = (ToolSpec("find_order", "주문을 찾는다.", {"type": "object"}),)
    for request in requests(4):
        assert tiny.count_tokens(request.messages, tools) == same.count_tokens(request.messages, tools)
        ids = same.tokenizer(request.messages[1].content)["input_ids"]
        assert tiny.speech.tokenizer(request.messages[1].content)["input_ids"] == ids
        assert tiny.speech.tokenizer.decode(ids) == request.messages[1].content


def test_greedy_answers_are_those_of_the_same_weights(tiny, same) -> None:
    """Keys and values have 16 bits in llama.cpp, so a few answers may turn at near-ties."""
    theirs, ours = tiny.generate(requests()), same.generate(requests())
    alike = sum(a.text == b.text and a.usage == b.usage for a, b in zip(theirs, ours, strict=True))
    assert alike >= 0.8 * len(ours)


def test_log_probabilities_are_those_of_the_same_weights(tiny, same) -> None:
    asked = requests(2, logprobs=2)
    for a, b in zip(tiny.generate(asked), same.generate(asked), strict=True):
        first, reference = a.logprobs[0], b.logprobs[0]
        assert first.token == reference.token
        assert first.log_probability == pytest.approx(reference.log_probability, abs=0.02)
        assert [t for t, _ in first.likeliest] == [t for t, _ in reference.likeliest]


def test_options_are_ranked_as_by_the_same_weights(tiny, same) -> None:
    request = Request(requests(1)[0].messages, constraint=OneOf(("환불", "교환", "배송 조회")))
    theirs, ours = tiny.rank_options(request), same.rank_options(request)
    assert [o for o, _ in theirs] == [o for o, _ in ours]
    assert [p for _, p in theirs] == pytest.approx([p for _, p in ours], abs=0.05)


def test_what_prompts_begin_with_is_computed_once(gguf: Path) -> None:
    pytest.importorskip("llama_cpp")
    from sadari.model.llamacpp import LlamaCppModel

    model, asked = LlamaCppModel(gguf), requests()
    prompts = [render_prompt(model.speech.tokenizer, r.messages) for r in asked]
    shared = next(at for at in range(min(map(len, prompts))) if len({prompt[at] for prompt in prompts}) > 1)
    assert shared > 100
    model.generate(asked)
    spared = model.engine.counts().spared
    assert spared >= (len(asked) - 1) * shared
    model.generate(asked[:1])
    assert model.engine.counts().spared >= spared + shared


def test_answers_do_not_depend_on_what_was_asked_before(gguf: Path) -> None:
    pytest.importorskip("llama_cpp")
    from sadari.model.llamacpp import LlamaCppModel

    asked = requests(12)
    fresh = [LlamaCppModel(gguf).generate([r])[0].text for r in asked[:4]]
    used = LlamaCppModel(gguf, context=256, cache_tokens=512)
    for _ in range(3):
        used.generate(asked)
    again = [used.generate([r])[0].text for r in asked[:4]]
    assert sum(a == b for a, b in zip(again, fresh, strict=True)) >= 3


def test_draws_depend_on_the_seed(gguf: Path) -> None:
    pytest.importorskip("llama_cpp")
    from sadari.model.llamacpp import LlamaCppModel

    one, same, other = (LlamaCppModel(gguf).generate(requests(3, temperature=1.0, seed=seed)) for seed in (7, 7, 8))
    assert [g.text for g in one] == [g.text for g in same]
    assert [g.text for g in one] != [g.text for g in other]


# --- what a request may ask for -------------------------------------------------------------------------------------------------


def test_an_answer_is_one_of_the_options(tiny) -> None:
    options = ("환불", "교환", "배송 조회")
    made = tiny.generate(requests(8, constraint=OneOf(options), temperature=1.5))
    assert {g.text for g in made} <= set(options)
    assert {g.finish for g in made} == {"stop"}


def test_an_answer_holds_to_a_schema(tiny) -> None:
    schema = {
        "type": "object",
        "properties": {"요청": {"enum": ["취소", "교환"]}, "번호": {"type": "integer"}},
        "required": ["요청"],
    }
    for made in tiny.generate([replace(r, max_new_tokens=80) for r in requests(4, constraint=JsonSchema(schema))]):
        assert made.finish == "stop"
        assert json.loads(made.text)["요청"] in ("취소", "교환")


def test_an_answer_matches_a_pattern_or_a_grammar(tiny) -> None:
    assert re.fullmatch("[0-9]{3}-[가-힣]{2}", tiny.generate(requests(1, constraint=Regex("[0-9]{3}-[가-힣]{2}")))[0].text)
    assert tiny.generate(requests(1, constraint=Grammar('start: "환불" | "교환"')))[0].text in ("환불", "교환")


def test_a_required_call_is_made_and_holds_to_its_schema(tiny) -> None:
    schema = {"type": "object", "properties": {"order": {"enum": ["A", "B"]}}, "required": ["order"], "additionalProperties": False}
    tools = (ToolSpec("find_order", "주문을 찾는다.", schema),)
    asked = replace(requests(1)[0], tools=tools, tool_choice="required", parallel_tool_calls=False, max_new_tokens=80)
    call = tiny.generate([asked])[0].tool_calls[0]
    assert call.name == "find_order"
    assert call.arguments in ({"order": "A"}, {"order": "B"})


def test_a_stream_says_what_the_whole_answer_says(tiny) -> None:
    request = requests(1)[0]
    *pieces, last = tiny.stream(request)
    assert "".join(piece.text for piece in pieces) == last.done.text == tiny.generate([request])[0].text


def test_a_closed_stream_frees_its_place(tiny) -> None:
    stream = tiny.stream(requests(1)[0])
    next(stream)
    stream.close()
    assert tiny.engine._schedulers[None].is_idle


def test_several_threads_are_answered_together(tiny) -> None:
    expected = [g.text for g in tiny.generate(requests(6))]
    found: dict[int, str] = {}

    def ask(i: int) -> None:
        found[i] = tiny.generate([requests(6)[i]])[0].text

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(found[i] == expected[i] for i in range(6)) >= 5


def test_a_prompt_longer_than_the_context_is_an_error_and_the_others_go_on(tiny) -> None:
    long, fine = tiny.generate([Request((Message("user", "환불 " * 2000),)), requests(1)[0]])
    assert long.finish == "error"
    assert "but the context of" in long.error
    assert fine.finish != "error"


def test_an_adapter_is_refused(tiny) -> None:
    assert "a GGUF file carries no adapters" in tiny.generate(requests(1, adapter="shop"))[0].error


# --- loading --------------------------------------------------------------------------------------------------------------------


def test_a_gguf_file_is_chosen_by_its_name_or_by_what_stands_before_the_colon(gguf: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    other = tmp_path / "model.bin"
    other.write_bytes(gguf.read_bytes())
    assert load_model(str(gguf)).name == str(gguf)
    assert load_model(f"llamacpp:{other}").name == str(other)


def test_a_cut_off_file_is_told(gguf: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    half = tmp_path / "half.gguf"
    half.write_bytes(gguf.read_bytes()[: gguf.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"half\.gguf: llama\.cpp cannot load it \(.*\)\. If the file was downloaded or copied"):
        load_model(str(half))


def test_a_file_of_nonsense_is_told(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    file = tmp_path / "bad.gguf"
    file.write_bytes(b"GGUF" + b"\xff" * 100)
    with pytest.raises(ModelError, match=r"llama\.cpp cannot load it"):
        load_model(str(file))


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "page.gguf"
    file.write_text("<html>not found</html>")
    with pytest.raises(ModelError, match=r"page\.gguf: is no GGUF file: it begins with b'<htm'"):
        load_model(str(file))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.gguf: cannot be read \(No such file"):
        load_model(str(tmp_path / "absent.gguf"))
    with pytest.raises(ModelError, match="is a folder"):
        load_model(f"llamacpp:{tmp_path}")


def test_a_missing_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"pip install 'sadari\[gguf\]'.*llama-server"):
        load_model(str(file))


def test_settings_that_a_file_cannot_have_are_refused() -> None:
    with pytest.raises(ConfigError, match="adapters need a local model"):
        load_model("tiny.gguf", adapter="somewhere")
    with pytest.raises(ConfigError, match="nf4 cannot be asked of it"):
        load_model("tiny.gguf", precision="nf4")
    with pytest.raises(ConfigError, match="nothing stands after the colon"):
        load_model("llamacpp:")
