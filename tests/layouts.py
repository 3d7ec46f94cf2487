"""Tiny random checkpoints in seven layouts, each with a byte-level tokenizer and a chat template in its family's style.

The installed packages carry no tokenizers or templates, so these templates are written after the published ones: the same
markers, the same habits (Qwen3 drops past thinking, Gemma has no system role, Phi3 ends a text with its end-of-text token).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

CORPUS = [
    "안녕하세요, 고객님. 환불 규정을 알려 드리겠습니다. 배송은 이틀 걸립니다.",
    "The refund policy: returns are accepted within seven days of delivery.",
    '{"name": "lookup", "arguments": {"order": 12345}} 교환 신청, 쿠폰, 적립금, 주문 조회',
] * 4

_TOOLS = "{% if tools %}# Tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif %}"
_CALLS = (
    "{% for call in message.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}'
)
_CHATML_HEAD = (
    "{% set ns = namespace(last=-1) %}{% for message in messages %}{% if message.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}"
    "{% if tools %}<|im_start|>system\n{% if messages[0].role == 'system' %}{{ messages[0].content }}\n\n{% endif %}"
    + _TOOLS
    + "<|im_end|>\n{% elif messages[0].role == 'system' %}<|im_start|>system\n{{ messages[0].content }}<|im_end|>\n{% endif %}"
)
_CHATML_OTHERS = (
    "{% if message.role == 'user' %}<|im_start|>user\n{{ message.content }}<|im_end|>\n"
    "{% elif message.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ message.content }}\n</tool_response><|im_end|>\n"
)
QWEN2 = (
    _CHATML_HEAD
    + "{% for message in messages %}"
    + _CHATML_OTHERS
    + "{% elif message.role == 'assistant' %}<|im_start|>assistant\n{{ message.content }}"
    + _CALLS
    + "<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3 = (
    _CHATML_HEAD
    + "{% for message in messages %}"
    + _CHATML_OTHERS
    + "{% elif message.role == 'assistant' %}<|im_start|>assistant\n"
    "{% if loop.index0 > ns.last and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ message.content }}" + _CALLS + "<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% if tools %}<|start_header_id|>system<|end_header_id|>\n\n" + _TOOLS + "<|eot_id|>{% endif %}"
    "{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
    "{{ message.content | trim }}" + _CALLS + "<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA3 = (
    "{{ bos_token }}{% set ns = namespace(prefix='') %}{% if messages[0].role == 'system' %}"
    "{% set ns.prefix = messages[0].content + '\n\n' %}"
    "{% set loop_messages = messages[1:] %}{% else %}{% set loop_messages = messages %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}\n"
    "{{ ns.prefix if loop.first else '' }}{{ message.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}"
    "{% if message.role == 'system' %}{% set ns.system = message.content + '\n\n' %}"
    "{% elif message.role == 'user' %}[INST] {{ ns.system }}{{ message.content }} [/INST]{% set ns.system = '' %}"
    "{% elif message.role == 'tool' %}[TOOL_RESULTS] {{ message.content }} [/TOOL_RESULTS]"
    "{% else %} {{ message.content | trim }}" + _CALLS + "{{ eos_token }}{% endif %}{% endfor %}"
)
PHI3 = (
    "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}" + _CALLS + "<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
EXAONE4 = (
    "{% if tools %}[|system|]\n" + _TOOLS + "[|endofturn|]\n{% endif %}"
    "{% for message in messages %}[|{{ message.role }}|]\n{{ message.content }}" + _CALLS + "[|endofturn|]\n{% endfor %}"
    "{% if add_generation_prompt %}[|assistant|]\n"
    "{% if enable_thinking is defined and enable_thinking %}<think>\n{% endif %}{% endif %}"
)


@dataclass(frozen=True)
class Layout:
    """How one family is built: classes, special tokens (the first ends a turn), template, sliding window."""

    name: str
    specials: tuple[str, ...]
    template: str
    bos: str | None = None
    eos: str | None = None
    window: int | None = None
    takes_tools: bool = True
    trailing: str = ""  # what the template writes between turns after the end-of-turn token

    @property
    def end(self) -> str:
        """The end-of-turn token."""
        return self.specials[0]


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "llama", ("<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"), LLAMA, "<|begin_of_text|>"
        ),
        Layout("qwen2", ("<|im_end|>", "<|im_start|>"), QWEN2),
        Layout("qwen3", ("<|im_end|>", "<|im_start|>"), QWEN3),
        Layout("gemma3", ("<end_of_turn>", "<bos>", "<start_of_turn>"), GEMMA3, "<bos>", window=16, takes_tools=False),
        Layout("mistral", ("</s>", "<s>", "[INST]", "[/INST]"), MISTRAL, "<s>", "</s>", window=32),
        Layout("phi3", ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>"), PHI3),
        Layout("exaone4", ("[|endofturn|]", "[|system|]", "[|user|]", "[|assistant|]", "[|tool|]"), EXAONE4, window=16),
    )
}


def make_checkpoint(layout: Layout, folder: Path) -> Path:
    """Save a random model of this layout, with tokenizer and template, as a hub checkpoint would stand on disk."""
    tokenizer = make_tokenizer(layout)
    torch.manual_seed(0)
    model = _model(layout, len(tokenizer), int(tokenizer.convert_tokens_to_ids(layout.end)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(layout: Layout) -> Any:
    """A byte-level tokenizer of about 450 pieces with the special tokens of the layout."""
    tokenizer = Tokenizer.from_str(_trained())
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in layout.specials])
    out = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=layout.bos,
        eos_token=layout.eos or "<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(layout.specials),
    )
    out.chat_template = layout.template
    return out


@cache
def _trained() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=450, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return str(tokenizer.to_str())


def _model(layout: Layout, vocab: int, end: int) -> Any:
    common: dict[str, Any] = dict(
        vocab_size=vocab,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=768,
        initializer_range=0.15,  # spreads the scores, so that ties within rounding error are rare
        eos_token_id=end,
        pad_token_id=0,
    )
    mixed = ["sliding_attention", "full_attention", "sliding_attention"]
    config_class, model_class, more = {
        "llama": ("LlamaConfig", "LlamaForCausalLM", {}),
        "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", {}),
        "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", {"head_dim": 12}),
        "gemma3": (
            "Gemma3TextConfig",
            "Gemma3ForCausalLM",
            {"head_dim": 12, "sliding_window": layout.window, "layer_types": mixed},
        ),
        "mistral": ("MistralConfig", "MistralForCausalLM", {"sliding_window": layout.window}),
        "phi3": ("Phi3Config", "Phi3ForCausalLM", {}),
        "exaone4": ("Exaone4Config", "Exaone4ForCausalLM", {"sliding_window": layout.window, "layer_types": mixed}),
    }[layout.name]
    config = getattr(transformers, config_class)(**common, **more)
    return getattr(transformers, model_class)(config).eval()
