"""Train the tokenizer of `mini`: byte-level BPE on the corpus, balanced by language, plus skill text.

`python -m sadari.mini.tokenizer` writes it, with the chat template and the model's configuration, into `MINI_PATH`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from sadari.mini import MINI_PATH
from sadari.mini.corpus import load_corpus
from sadari.mini.skills.passages import ask, scene

VOCABULARY = 8192
MAX_POSITIONS = 4096
SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
_SPLIT = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_MEGABYTES = {"ko": 12_000_000, "en": 6_000_000, "skill": 3_000_000}  # UTF-8 characters (len) read per part

TEMPLATE = """\
{%- set texts = namespace(system='') -%}
{%- set first = 0 -%}
{%- if messages and messages[0].role == 'system' -%}
{%- set texts.system = messages[0].content or '' -%}
{%- set first = 1 -%}
{%- endif -%}
{%- if tools -%}
{%- if texts.system -%}{%- set texts.system = texts.system + '\\n\\n' -%}{%- endif -%}
{%- set texts.system = texts.system + '# Tools' -%}
{%- for tool in tools -%}
{%- set texts.system = texts.system + '\\n' + (tool | tojson) -%}
{%- endfor -%}
{%- endif -%}
{%- if first or tools -%}
{{- '<|im_start|>system\\n' + texts.system + '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages[first:] -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}
{{- message.content -}}
{%- elif message.content -%}
{%- for part in message.content -%}{%- if part.type == 'text' -%}{{- part.text -}}{%- endif -%}{%- endfor -%}
{%- endif -%}
{%- if message.tool_calls -%}
{%- for call in message.tool_calls -%}
{%- set function = call.function if call.function else call -%}
{%- if message.content or not loop.first -%}{{- '\\n' -}}{%- endif -%}
{{- '<tool_call>\\n{"name": ' + (function.name | tojson) + ', "arguments": ' -}}
{%- if function.arguments is string -%}{{- function.arguments -}}{%- else -%}{{- function.arguments | tojson -}}{%- endif -%}
{{- '}\\n</tool_call>' -}}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def _texts(seed: int = 0) -> Iterator[str]:
    r = Random(seed)
    corpus = load_corpus()
    for language in ("ko", "en"):
        left = _MEGABYTES[language]
        for text in corpus[language]:
            if (left := left - len(text)) < 0:
                break
            yield text
    left = _MEGABYTES["skill"]
    while left > 0:
        ko = r.random() < 0.7
        passages, target = scene(r, ko, 3, 3)
        question = ask(r.choice(passages[target].facts), r, ko)
        text = "\n\n".join(f"[{i}] {p.title}\n{p.text}" for i, p in enumerate(passages, 1))
        text = f"질문: {question}\n\n문서:\n{text}" if ko else f"Question: {question}\n\nDocuments:\n{text}"
        if r.random() < 0.2:
            fact = r.choice(passages[target].facts)
            text += json.dumps(
                {
                    "name": fact.attribute.key,
                    "arguments": {"subject": fact.subject, "value": fact.value, "type": "string", "required": True},
                },
                ensure_ascii=False,
            )
            text += f" SELECT {fact.attribute.key}, COUNT(*) FROM orders WHERE status = 'paid' GROUP BY name ORDER BY price LIMIT 5"
        left -= len(text)
        yield text
    for role in ("system", "user", "assistant", "tool"):
        yield f"{role}\n" * 3000


def train_tokenizer() -> Tokenizer:
    """Byte-level BPE of `VOCABULARY` pieces: NFC, digits one by one, the special tokens first."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    for role in ("system", "user", "assistant", "tool"):
        if len(tokenizer.encode(role, add_special_tokens=False).ids) != 1:
            raise ValueError(f"role name {role!r} is not one piece: give it more weight in the training text")
    return tokenizer


def write_folder(tokenizer: Tokenizer, folder: Path = MINI_PATH) -> None:
    """Write everything but the weights: tokenizer, chat template, model and generation configuration."""
    from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config

    folder.mkdir(parents=True, exist_ok=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIALS[0],
        eos_token=SPECIALS[2],
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_POSITIONS,
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(str(folder))
    end, pad = fast.convert_tokens_to_ids(SPECIALS[2]), fast.convert_tokens_to_ids(SPECIALS[0])
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        rms_norm_eps=1e-6,
        attention_bias=False,
        use_sliding_window=False,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        dtype="bfloat16",
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
    )
    config.architectures = ["Qwen3ForCausalLM"]
    config.save_pretrained(str(folder))
    GenerationConfig(do_sample=False, eos_token_id=[end, pad], pad_token_id=pad, max_new_tokens=256).save_pretrained(str(folder))


if __name__ == "__main__":
    write_folder(train_tokenizer())
