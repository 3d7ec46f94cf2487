"""The local engine against plain `transformers`, in float32.

Scores differ by rounding (about 1e-6), so an equal choice of tokens is expected wherever the two best are further apart than that;
with these seeds they always are.
"""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import torch
import transformers

from layouts import LAYOUTS, make_tokenizer
from sadari.errors import ModelError
from sadari.model import load_model
from sadari.model.chat import render_prompt
from sadari.model.engine import Limits
from sadari.model.local import LocalModel
from sadari.types import JsonSchema, Message, OneOf, Regex, Request, ToolSpec

from .conftest import RecordingModel

SYSTEM = Message("system", "안녕하세요, 고객님. The refund policy: returns are accepted within seven days of delivery. " * 3)
TEXTS = (
    "환불",
    "교환 신청은 어디에서 하나요? " * 4,
    "order 12345",
    "쿠폰 " * 25,
    "a",
    "The delivery of seven days " * 6,
    "적립금!",
)


def requests(*, shared: bool = False, **changes) -> list[Request]:
    head = (SYSTEM,) if shared else ()
    return [Request((*head, Message("user", t)), max_new_tokens=6 + 3 * i, **changes) for i, t in enumerate(TEXTS)]


def tokens_of_plain_transformers(model, request: Request) -> list[int]:
    ids = torch.tensor([render_prompt(model.tokenizer, request.messages, request.tools)])
    ends = sorted(model.speech.ends)
    out = model.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=request.max_new_tokens,
        eos_token_id=ends,
        pad_token_id=0,
    )
    new = out[0, ids.shape[1] :].tolist()
    return new[:-1] if new[-1] in ends else new


@pytest.mark.parametrize("shared", [False, True], ids=["no shared prefix", "shared prefix"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_batch_gives_the_tokens_of_single_requests_and_of_plain_transformers(local_model, name, shared):
    model = local_model(name)
    asked = requests(shared=shared)

    batch = model.generate(asked)
    batch_tokens = [model.tokens[i] for i in range(len(asked))]
    single = [model.generate([r])[0] for r in asked]

    assert batch_tokens == [tokens_of_plain_transformers(model, r) for r in asked]
    assert [g.text for g in batch] == [g.text for g in single]
    assert [g.usage for g in batch] == [g.usage for g in single]
    assert len({tuple(t) for t in batch_tokens}) > 3, "the prompts must matter"


@pytest.mark.parametrize("name", ["gemma3", "mistral", "exaone4"])
def test_prompts_outgrow_the_sliding_window_in_these_tests(local_model, name):
    model = local_model(name)
    lengths = [model.count_tokens(r.messages) for r in requests(shared=True)]

    assert min(lengths) > 2 * LAYOUTS[name].window


def test_what_prompts_share_is_computed_once(checkpoint):
    model = LocalModel(checkpoint("llama"))
    asked = [replace(r, max_new_tokens=1) for r in requests(shared=True)]
    prompts = [render_prompt(model.tokenizer, r.messages) for r in asked]
    shared = next(i for i, column in enumerate(zip(*prompts, strict=False)) if len(set(column)) > 1)

    model.generate(asked)

    own = sum(len(prompt) - shared for prompt in prompts)
    assert shared > 64
    assert model.engine.counts().computed <= shared + own
    assert model.engine.counts().spared >= shared * len(asked)


def test_prompts_that_were_computed_are_found_again_until_weights_may_change(checkpoint):
    model, asked = LocalModel(checkpoint("llama")), requests(shared=True)
    first = model.generate(asked)
    computed = model.engine.counts().computed

    assert [g.text for g in model.generate(asked)] == [g.text for g in first]
    assert model.engine.counts().computed - computed < computed / 2

    model.model.lm_head.weight.requires_grad_(True)
    with torch.no_grad():
        model.model.model.embed_tokens.weight.mul_(1.5)
    changed = model.generate(asked)

    assert [g.text for g in changed] != [g.text for g in first]
    expected = [model.speech.text(tokens_of_plain_transformers(model, r)) for r in asked]
    assert [g.text for g in changed] == expected


@pytest.mark.parametrize("name", ["llama", "gemma3"])
@pytest.mark.parametrize("limits", [Limits(rows=3), Limits(step_tokens=7), Limits(rows=1, step_tokens=1), Limits(waiting=2)])
def test_however_little_is_computed_at_once_the_tokens_are_the_same(local_model, checkpoint, name, limits):
    small = LocalModel(checkpoint(name), limits=limits)
    assert [g.text for g in small.generate(requests())] == [g.text for g in local_model(name).generate(requests())]


def test_a_cache_too_small_for_all_makes_rows_wait(local_model, checkpoint):
    small = LocalModel(checkpoint("qwen2"), cache_bytes=300_000)
    assert [g.text for g in small.generate(requests())] == [g.text for g in local_model("qwen2").generate(requests())]


def test_sampling_depends_on_the_seed_and_not_on_the_batch(local_model):
    model = local_model("qwen3")
    asked = [replace(r, temperature=0.9, top_p=0.9, seed=i) for i, r in enumerate(requests())]

    batch = [g.text for g in model.generate(asked)]

    assert batch == [model.generate([r])[0].text for r in asked]
    assert batch == [g.text for g in reversed(model.generate(asked[::-1]))]
    assert batch != [g.text for g in model.generate([replace(r, seed=r.seed + 100) for r in asked])]


def test_a_top_p_of_nearly_zero_is_greedy(local_model):
    model = local_model("qwen3")
    assert [g.text for g in model.generate(requests(temperature=1.0, top_p=1e-9))] == [g.text for g in model.generate(requests())]


def test_a_stop_string_ends_the_text_before_it(local_model):
    model = local_model("llama")
    request = replace(requests()[1], max_new_tokens=40)
    text = model.generate([request])[0].text
    stop = text[5:7]

    stopped = model.generate([replace(request, stop=(stop,))])[0]

    assert stopped.text == text[: text.index(stop)]
    assert stopped.finish == "stop"


def test_a_prompt_longer_than_the_context_is_an_error_and_the_others_go_on(local_model):
    model = local_model("llama")
    long = Request((Message("user", "가나다 " * 400),))

    first, second, third = model.generate([requests()[0], long, requests()[2]])

    assert second.finish == "error"
    assert str(model.count_tokens(long.messages)) in second.error
    assert "context" in second.error
    assert "768" in second.error
    assert [first.finish, third.finish] == ["length", "length"]


def test_a_conversation_that_may_slide_loses_its_oldest_turns_and_keeps_its_instruction(local_model):
    model, told = local_model("llama"), Message("system", "짧게 답한다.")
    turns = [Message(role, f"{i} " + "가나다 " * 40) for i in range(6) for role in ("user", "assistant")]
    asked = Message("user", "마지막 질문")
    request = Request((told, *turns, asked), max_new_tokens=30)
    assert model.generate([request])[0].finish == "error"

    (slid,) = model.generate([replace(request, slides=True)])

    kept = next(n for n in range(2, 14, 2) if model.count_tokens((told, *turns[n:], asked)) + 30 <= model.context)
    assert slid.usage.prompt_tokens == model.count_tokens((told, *turns[kept:], asked))
    assert slid.text == model.generate([Request((told, *turns[kept:], asked), max_new_tokens=30)])[0].text


def test_a_question_that_is_too_long_by_itself_is_refused_even_where_turns_may_slide(local_model):
    long = Request((Message("user", "a"), Message("assistant", "b"), Message("user", "가나다 " * 400)), slides=True)
    assert "context" in local_model("llama").generate([long])[0].error


def test_a_stop_string_that_never_comes_ends_at_the_limit(local_model):
    (generation,) = local_model("llama").generate([replace(requests()[1], max_new_tokens=12, stop=("결코 오지 않는다",))])
    assert (generation.finish, generation.usage.completion_tokens) == ("length", 12)


def test_an_answer_ends_at_the_end_of_the_context(local_model):
    model = local_model("llama")
    request = Request((Message("user", "a " * 380),), max_new_tokens=500)

    generation = model.generate([request])[0]

    assert generation.finish != "error"
    assert generation.usage.prompt_tokens + generation.usage.completion_tokens <= 768


def test_a_model_with_a_running_state_is_never_padded_and_still_exact(tmp_path):
    """Convolution layers (LFM2) would take padding into their state: such requests are decoded one by one."""
    tokenizer = make_tokenizer(LAYOUTS["qwen2"])
    torch.manual_seed(0)
    config = transformers.Lfm2Config(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention", "conv"],
        max_position_embeddings=768,
        initializer_range=0.15,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
    )
    transformers.Lfm2ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = RecordingModel(tmp_path)

    model.generate(requests(shared=True))

    assert [model.tokens[i] for i in range(len(TEXTS))] == [tokens_of_plain_transformers(model, r) for r in requests(shared=True)]
    assert dict(model.rank_options(replace(requests()[1], constraint=OneOf(("환불", "교환")))))


def test_a_model_without_a_key_value_cache_is_refused(tmp_path):
    tokenizer = make_tokenizer(LAYOUTS["qwen2"])
    config = transformers.MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, state_size=4)
    transformers.MambaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="'mamba' keep no key-value cache"):
        LocalModel(tmp_path)


def test_the_bundled_model_is_loaded_by_its_name():
    pytest.importorskip("sadari.mini")
    from sadari.mini import MINI_PATH

    if not (MINI_PATH / "model.safetensors").is_file():
        pytest.skip("the bundled weights are not here")
    model = load_model("mini")
    assert model.name == "mini"
    assert [g.finish for g in model.generate(requests())] != ["error"] * len(TEXTS)


def test_a_request_for_no_tokens_gets_none(local_model):
    (generation,) = local_model("llama").generate([replace(requests()[0], max_new_tokens=0)])
    assert (generation.text, generation.finish) == ("", "length")


def test_several_answers_to_one_request_are_those_of_the_next_seeds(local_model):
    model, request = local_model("qwen3"), replace(requests()[1], temperature=1.0, seed=5, max_new_tokens=20)

    generation = model.generate([replace(request, n=3)])[0]

    alone = [model.generate([replace(request, seed=seed)])[0].text for seed in (5, 6, 7)]
    assert [generation.text, *(other.text for other in generation.others)] == alone
    assert len(set(alone)) > 1


def test_a_schema_not_met_at_the_limit_is_told_as_truncated(local_model):
    schema = JsonSchema({"type": "object", "properties": {"a": {"type": "string", "minLength": 30}}, "required": ["a"]})
    (generation,) = local_model("qwen3").generate([replace(requests()[0], max_new_tokens=5, constraint=schema)])
    assert generation.finish == "truncated"


def test_an_answer_under_a_schema_is_valid_whatever_the_model(local_model):
    schema = {"type": "object", "properties": {"a": {"enum": ["환불", "교환"]}, "n": {"type": "integer"}}, "required": ["a", "n"]}
    asked = [replace(r, max_new_tokens=60, constraint=JsonSchema({**schema, "additionalProperties": False})) for r in requests()]
    for generation in local_model("qwen3").generate([*asked, requests()[0]])[:-1]:
        if generation.finish == "stop":
            jsonschema.validate(json.loads(generation.text), schema)
        assert generation.finish in ("stop", "truncated")


def test_a_bad_schema_is_an_error_of_that_request(local_model):
    bad, good = local_model("qwen3").generate([replace(requests()[0], constraint=JsonSchema({"type": "sting"})), requests()[0]])
    assert bad.finish == "error"
    assert "type" in bad.error
    assert good.finish != "error"


@pytest.mark.parametrize("choice", ["required", "lookup"])
def test_a_call_that_is_asked_for_is_written_even_by_a_model_that_knows_none(local_model, choice):
    parameters = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}
    tools = (ToolSpec("lookup", "Find an order.", parameters),)
    request = replace(requests()[0], tools=tools, tool_choice=choice, parallel_tool_calls=False, max_new_tokens=120)

    (generation,) = local_model("qwen2").generate([request])

    assert generation.finish == "stop", generation
    assert [call.name for call in generation.tool_calls] == ["lookup"]
    jsonschema.validate(dict(generation.tool_calls[0].arguments), parameters)


@pytest.mark.parametrize(
    ("field", "value"),
    [("min_p", 1.5), ("temperature", float("nan")), ("repetition_penalty", 0.0), ("top_k", -5), ("logprobs", 10**6), ("n", 10**6)],
)
def test_a_field_out_of_range_is_an_error_of_that_request(local_model, field, value):
    bad, good = local_model("llama").generate([replace(requests()[0], **{field: value}), requests()[0]])
    assert (bad.finish, good.finish) == ("error", "length")
    assert field in bad.error


def test_text_that_no_tokenizer_takes_is_an_error_of_that_request(local_model):
    model = local_model("llama")
    bad = [Request((Message("user", "\ud800"),)), replace(requests()[0], stop=("\ud800",))]
    *refused, good = model.generate([*bad, requests()[0]])
    assert all("surrogate" in g.error for g in refused)
    assert good.finish == "length"


def test_a_stop_string_inside_forced_text_is_found(local_model):
    forced = Regex("[ab] and then a long text that is forced, with\\na line break and more of it, much more")
    (generation,) = local_model("qwen3").generate([replace(requests()[0], constraint=forced, stop=("\n",), max_new_tokens=200)])
    assert generation.text.endswith("with")
    assert generation.finish == "truncated"


def test_log_probabilities_are_told_of_every_token_under_a_schema_too(local_model):
    schema = JsonSchema(
        {"type": "object", "properties": {"order": {"enum": [1, 2]}}, "required": ["order"], "additionalProperties": False}
    )
    (generation,) = local_model("qwen3").generate([replace(requests()[0], constraint=schema, logprobs=1, max_new_tokens=60)])
    assert generation.finish == "stop"
    assert "".join(score.token for score in generation.logprobs).startswith(generation.text)


def test_no_requests_give_no_generations(local_model):
    assert local_model("llama").generate([]) == []


def test_rank_options_gives_the_log_probability_of_the_whole_answer(local_model):
    model = local_model("qwen2")
    options = ("환불", "환불 규정", "교환", "배송 조회")
    request = replace(requests()[1], constraint=OneOf(options))
    prompt = render_prompt(model.tokenizer, request.messages)

    ranked = dict(model.rank_options(request))

    for option in options:
        answer = model.tokenizer(option, add_special_tokens=False)["input_ids"] + [
            model.tokenizer.convert_tokens_to_ids("<|im_end|>")
        ]
        with torch.no_grad():
            logits = model.model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        expected = float(logits.gather(1, torch.tensor(answer)[:, None]).sum())
        assert ranked[option] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["llama", "gemma3", "exaone4"])
def test_a_constrained_batch_equals_single_requests_and_keeps_to_the_options(local_model, name):
    model = local_model(name)
    options = ("환불", "환불 규정", "교환 신청", "쿠폰", "The refund policy is long and forced", "모름")
    asked = [replace(r, constraint=OneOf(options, most=3, alone=("모름",))) for r in requests(shared=True)]
    asked[2] = replace(asked[2], constraint=None)
    asked[3] = replace(asked[3], temperature=3.0, seed=3)

    batch = [g.text for g in model.generate(asked)]

    assert batch == [model.generate([r])[0].text for r in asked]
    for i, text in enumerate(batch):
        assert i == 2 or is_one_of(text, asked[i].constraint)


def is_one_of(text: str, constraint: OneOf, taken: tuple[str, ...] = ()) -> bool:
    """Whether the text is different options joined by single spaces, by trying all."""
    for option in constraint.options:
        if option in taken or len(taken) >= constraint.most or (taken and option in constraint.alone):
            continue
        if text == option:
            return True
        may_join = option not in constraint.alone
        if may_join and text.startswith(option + " ") and is_one_of(text[len(option) + 1 :], constraint, (*taken, option)):
            return True
    return False


def test_forced_tokens_leave_the_cache_exact(local_model):
    """An option chosen token by token without forcing, by plain transformers, is the one that the engine gives."""
    model = local_model("qwen2")
    options = ("배송은 이틀 걸립니다", "배송 조회", "배송은 seven days", "returns are accepted", "returns within")
    for request in requests():
        ids = render_prompt(model.tokenizer, request.messages)
        left = {o: model.tokenizer(o, add_special_tokens=False)["input_ids"] for o in options}
        answer: list[int] = []
        while tuple(answer) not in {tuple(v) for v in left.values()}:
            allowed = sorted({v[len(answer)] for v in left.values() if v[: len(answer)] == answer})
            with torch.no_grad():
                logits = model.model(torch.tensor([ids + answer])).logits[0, -1]
            answer.append(allowed[int(logits[allowed].argmax())])

        assert model.generate([replace(request, constraint=OneOf(options))])[0].text == model.tokenizer.decode(answer)


def test_max_new_tokens_never_cuts_an_option(local_model):
    model = local_model("llama")
    constraint = OneOf(("아주 긴 문장 하나가 여기에 있습니다", "또 다른 긴 문장이 있습니다"), most=2)

    text = model.generate([replace(requests()[0], max_new_tokens=1, constraint=constraint)])[0].text

    assert text in constraint.options


def test_an_empty_constraint_is_an_error_of_that_request(local_model):
    generation = local_model("llama").generate([replace(requests()[0], constraint=OneOf(()))])[0]
    assert generation.finish == "error"
    assert "at least one option" in generation.error


def test_diverged_weights_are_an_error_and_not_an_answer(checkpoint):
    model = LocalModel(checkpoint("llama"))
    with torch.no_grad():
        model.model.lm_head.weight.fill_(float("nan"))
    assert "not finite" in model.generate(requests())[0].error


def test_generating_leaves_a_model_in_training_mode_as_it_was(checkpoint):
    model = LocalModel(checkpoint("llama"))
    model.model.train()
    model.generate(requests()[:1])
    assert model.model.training


def test_tool_calls_are_read_from_the_text(local_model, monkeypatch):
    model = local_model("qwen2")
    tools = (ToolSpec("lookup", "Find an order.", {"type": "object", "properties": {}}),)
    said = '잠시만요. <tool_call>\n{"name": "lookup", "arguments": {"order": 12345}}\n</tool_call>'
    generation = model.generate([replace(requests()[0], tools=tools, constraint=OneOf((said,)))])[0]

    assert generation.text == "잠시만요."
    assert generation.tool_calls[0].name == "lookup"
    assert generation.tool_calls[0].arguments == {"order": 12345}


# --- loading -----------------------------------------------------------------------------------------------------------


def test_a_name_that_cannot_be_had_offline_says_what_to_do():
    with pytest.raises(ModelError, match=r"acme/no-such-model.*hf download acme/no-such-model"):
        load_model("acme/no-such-model")


def test_a_missing_folder_is_named():
    with pytest.raises(ModelError, match="/nowhere/at/all: there is no such folder"):
        load_model("/nowhere/at/all")


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(str(tmp_path))


def test_a_damaged_weight_file_is_an_error_with_the_path(checkpoint, tmp_path):
    folder = copy_of(checkpoint("llama"), tmp_path)
    (folder / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match=r"copy: the model cannot be read"):
        load_model(str(folder))


def test_missing_weights_are_an_error_and_not_random_numbers(checkpoint, tmp_path):
    folder = copy_of(checkpoint("llama"), tmp_path)
    change_weights(folder, lambda w: w.pop("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(ModelError, match=r"misses 1 weights \(model\.layers\.1\.mlp\.up_proj\.weight\)"):
        load_model(str(folder))


def test_extra_weights_are_an_error(checkpoint, tmp_path):
    folder = copy_of(checkpoint("llama"), tmp_path)
    change_weights(folder, lambda w: w.update({"model.layers.9.mlp.up_proj.weight": torch.zeros(2)}))
    with pytest.raises(ModelError, match=r"adds 1 weights"):
        load_model(str(folder))


def test_a_tokenizer_without_a_chat_template_is_refused_with_a_remedy(checkpoint, tmp_path):
    folder = copy_of(checkpoint("llama"), tmp_path)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"no chat template.*chat_template\.jinja"):
        LocalModel(folder).count_tokens((Message("user", "a"),))


def test_an_adapter_changes_the_answers_as_peft_does(checkpoint, tmp_path):
    from peft import PeftModel

    adapter = make_adapter(checkpoint("qwen2"), tmp_path / "adapter")
    ours = LocalModel(checkpoint("qwen2"), adapter=adapter)
    base = LocalModel(checkpoint("qwen2"))
    theirs = PeftModel.from_pretrained(LocalModel(checkpoint("qwen2")).model, str(adapter)).eval()
    ids = torch.tensor([render_prompt(base.tokenizer, requests()[1].messages)])

    with torch.no_grad():
        difference = (ours.model(ids).logits - theirs(ids).logits).abs().max()

    assert float(difference) < 1e-4
    assert [g.text for g in ours.generate(requests())] != [g.text for g in base.generate(requests())]


def test_an_adapter_of_another_base_is_refused(checkpoint, tmp_path):
    adapter = make_adapter(checkpoint("qwen2"), tmp_path / "adapter")
    with pytest.raises(ModelError, match=r"adapter: this adapter was trained on .*qwen2, not on .*llama"):
        LocalModel(checkpoint("llama"), adapter=adapter)


def test_an_adapter_of_the_same_shape_over_other_weights_is_refused(checkpoint, tmp_path):
    adapter = make_adapter(checkpoint("qwen2"), tmp_path / "adapter")
    tuned = copy_of(checkpoint("qwen2"), tmp_path)
    LocalModel(tuned, adapter=adapter)  # a mere copy is the same base
    change_weights(tuned, lambda w: w["model.norm.weight"].mul_(1.01))
    with pytest.raises(ModelError, match=r"trained on .*qwen2, not on .*copy"):
        LocalModel(tuned, adapter=adapter)


def test_an_adapter_of_another_shape_is_refused(checkpoint, tmp_path):
    adapter = make_adapter(checkpoint("qwen2"), tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = ""
    config["r"] = 8
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="does not fit"):
        LocalModel(checkpoint("qwen2"), adapter=adapter)


@pytest.mark.parametrize("damage", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_unreadable_adapter_is_an_error_with_the_path(checkpoint, tmp_path, damage):
    adapter = make_adapter(checkpoint("qwen2"), tmp_path / "adapter")
    (adapter / damage).write_bytes(b"{")
    with pytest.raises(ModelError, match=r"adapter: the adapter cannot be read"):
        LocalModel(checkpoint("qwen2"), adapter=adapter)


def test_a_folder_that_is_no_adapter_is_an_error(checkpoint, tmp_path):
    with pytest.raises(ModelError, match="not an adapter"):
        LocalModel(checkpoint("qwen2"), adapter=tmp_path)


def copy_of(folder: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, tmp_path / "copy"))


def change_weights(folder: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def make_adapter(base: Path, folder: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    wrapped = get_peft_model(LocalModel(base).model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    wrapped.save_pretrained(str(folder))
    return folder
