"""Masks and losses of training rows, in seven layouts."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from layouts import LAYOUTS, make_tokenizer
from sadari.errors import DataError, ModelError
from sadari.model.chat import find_end_of_turn, render_plain, render_prompt, render_text, render_training
from sadari.types import Message, ToolCall, ToolSpec

TOOL = ToolSpec("lookup", "주문을 찾는다.", {"type": "object", "properties": {"order": {"type": "integer"}}})
TURNS = (
    Message("system", "You help."),
    Message("user", "환불 되나요?"),
    Message("assistant", "네, 됩니다."),
    Message("user", "언제까지?"),
    Message("assistant", "Within seven days.", weight=0.25),
)
CALL_TEXT = '<tool_call>\n{"name": "lookup", "arguments": {"order": 12345}}\n</tool_call>'
WITH_TOOL = (
    Message("user", "주문 12345"),
    Message("assistant", "", tool_calls=(ToolCall("lookup", {"order": 12345}, "call_1"),)),
    Message("tool", "배송 중", tool_call_id="call_1"),
    Message("assistant", "배송 중입니다."),
)
TAKES_TOOLS = [name for name, layout in LAYOUTS.items() if layout.takes_tools]


def pieces_in_loss(tokenizer, rendered) -> list[tuple[str, float]]:
    """Runs of tokens of the same positive weight, as text."""
    runs: list[tuple[list[int], float]] = []
    last = 0.0
    for token, weight in zip(rendered.ids, rendered.weights, strict=True):
        if weight > 0:
            if weight != last:
                runs.append(([], weight))
            runs[-1][0].append(token)
        last = weight
    return [(tokenizer.decode(ids), weight) for ids, weight in runs]


@pytest.fixture(params=LAYOUTS)
def tokenizer(request):
    return make_tokenizer(LAYOUTS[request.param])


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_loss_is_on_each_answer_and_its_end_of_turn_with_its_weight(name):
    tokenizer, end = make_tokenizer(LAYOUTS[name]), LAYOUTS[name].end

    rendered = render_training(tokenizer, TURNS)

    space = " " if name == "mistral" else ""  # its template writes the space before the answer, as its content
    assert pieces_in_loss(tokenizer, rendered) == [(f"{space}네, 됩니다.{end}", 1.0), (f"{space}Within seven days.{end}", 0.25)]


@pytest.mark.parametrize("name", TAKES_TOOLS)
def test_tool_calls_are_in_the_loss_and_tool_results_are_not(name):
    tokenizer, end = make_tokenizer(LAYOUTS[name]), LAYOUTS[name].end

    rendered = render_training(tokenizer, WITH_TOOL, (TOOL,))

    space = " " if name == "mistral" else ""
    assert pieces_in_loss(tokenizer, rendered) == [(f"{space}{CALL_TEXT}{end}", 1.0), (f"{space}배송 중입니다.{end}", 1.0)]


def test_what_is_served_is_the_beginning_of_what_is_learnt(tokenizer):
    prompt = render_prompt(tokenizer, TURNS[:-1])

    rendered = render_training(tokenizer, (*TURNS[:2], replace(TURNS[2], weight=0.0), *TURNS[3:]))

    assert list(rendered.ids[: len(prompt)]) == prompt
    assert not any(rendered.weights[: len(prompt)])
    assert rendered.weights[len(prompt)] == 0.25


def test_a_weight_of_zero_takes_a_turn_out_of_the_loss(tokenizer):
    rendered = render_training(tokenizer, (*TURNS[:2], replace(TURNS[2], weight=0.0), *TURNS[3:]))
    assert {w for w in rendered.weights if w} == {0.25}


@pytest.mark.parametrize("name", [n for n in LAYOUTS if n not in ("qwen3", "phi3")])
def test_a_user_turn_may_ask_for_a_weight(name):
    tokenizer = make_tokenizer(LAYOUTS[name])
    rendered = render_training(tokenizer, (TURNS[1], TURNS[2], replace(TURNS[3], weight=0.5), TURNS[4]))
    assert any("언제까지?" in text and weight == 0.5 for text, weight in pieces_in_loss(tokenizer, rendered))


@pytest.mark.parametrize("name", ["qwen3", "phi3"])
def test_a_weighted_user_turn_that_the_template_rewrites_is_refused(name):
    with pytest.raises(DataError, match=r"turn 3 \(user\) cannot be located"):
        render_training(make_tokenizer(LAYOUTS[name]), (TURNS[1], TURNS[2], replace(TURNS[3], weight=0.5), TURNS[4]))


def test_qwen3_thinking_is_asked_to_be_left_out():
    tokenizer = make_tokenizer(LAYOUTS["qwen3"])
    assert tokenizer.decode(render_prompt(tokenizer, TURNS[:2])).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_the_end_of_turn_is_read_off_the_template(tokenizer):
    assert find_end_of_turn(tokenizer) in {layout.end for layout in LAYOUTS.values()}


def test_a_row_without_a_token_in_the_loss_is_refused_by_name(tokenizer):
    with pytest.raises(DataError, match=r"train\.jsonl line 7: no token of"):
        render_training(tokenizer, (TURNS[1], replace(TURNS[2], weight=0.0)), row="train.jsonl line 7")


def test_a_row_with_every_token_in_the_loss_is_refused_by_name():
    tokenizer = make_tokenizer(LAYOUTS["qwen2"])
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(DataError, match=r"train\.jsonl line 7: every token of"):
        render_training(tokenizer, (Message("assistant", "혼잣말"),), row="train.jsonl line 7")


def test_a_template_that_refuses_a_row_is_quoted_with_the_row():
    tokenizer = make_tokenizer(LAYOUTS["gemma3"])
    with pytest.raises(DataError, match=r"row 3: the model's chat template refuses it: .*must alternate.*user, user"):
        render_training(tokenizer, (TURNS[1], TURNS[1]), row="row 3")


def test_a_template_that_rewrites_the_past_beyond_repair_is_refused():
    tokenizer = make_tokenizer(LAYOUTS["qwen2"])
    tokenizer.chat_template = "{{ messages | length }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    with pytest.raises(DataError, match=r"row 3: turn 2 \(assistant\) cannot be located"):
        render_training(tokenizer, TURNS[1:], row="row 3")


def test_an_answer_that_holds_the_end_of_turn_as_text_is_refused():
    tokenizer = make_tokenizer(LAYOUTS["qwen2"])
    with pytest.raises(DataError, match=r"end-of-turn token '<\|im_end\|>' as text"):
        render_training(tokenizer, (TURNS[1], Message("assistant", "a<|im_end|>b")))


def test_a_tokenizer_without_a_template_is_refused():
    tokenizer = make_tokenizer(LAYOUTS["qwen2"])
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        render_prompt(tokenizer, TURNS[:2])


def test_raw_text_is_all_in_the_loss(tokenizer):
    rendered = render_plain(tokenizer, "그냥 글")
    assert set(rendered.weights) == {1.0}
    assert rendered.ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_weighted_loss_and_its_gradients_equal_those_of_plain_transformers(local_model, name):
    """Weights of 1 against `labels`, in float32: loss to 1e-5, gradients to 1e-5 of their largest entry."""
    model = copy.deepcopy(local_model(name).model).requires_grad_(True)
    rendered = render_training(local_model(name).tokenizer, (*TURNS[:4], replace(TURNS[4], weight=None)))
    ids, weights = torch.tensor([rendered.ids]), torch.tensor([rendered.weights])
    labels = ids.masked_fill(weights == 0, -100)

    def gradients(loss):
        model.zero_grad()
        loss.backward()
        return {n: p.grad.clone() for n, p in model.named_parameters()}

    theirs = model(ids, labels=labels).loss
    their_gradients = gradients(theirs)
    logits = model(ids).logits[:, :-1].float()
    per_token = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    ours = (per_token * weights[:, 1:].flatten()).sum() / weights[:, 1:].sum()
    our_gradients = gradients(ours)
    model.zero_grad()

    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), abs=1e-5)
    for n, g in their_gradients.items():
        assert torch.allclose(our_gradients[n], g, rtol=0, atol=1e-5 * max(1.0, float(g.abs().max()))), n


def test_ids_of_calls_are_shortened_where_a_template_refuses_others():
    tokenizer = make_tokenizer(LAYOUTS["mistral"])
    tokenizer.chat_template = (
        "{% for m in messages %}{% for c in m.tool_calls or [] %}{% if c.id|length != 9 %}{{ raise_exception('length 9') }}"
        "{% endif %}[{{ c.id }}]{% endfor %}{% if m.tool_call_id %}({{ m.tool_call_id }}){% endif %}{% endfor %}"
    )
    call = ToolCall("lookup", {}, "call_1")
    text = render_text(
        tokenizer, (Message("user", "x"), Message("assistant", "", tool_calls=(call,)), Message("tool", "y", tool_call_id="call_1"))
    )
    inside = text[1:10]
    assert text == f"[{inside}]({inside})", "the result still names the call that it answers"
