"""Tokenizers whose chat templates write calls as the published ones of each family do, with the format that is to be read off."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from layouts import Layout, make_tokenizer
from sadari.model.chat import find_end_of_turn, render_text
from sadari.model.toolcalls.formats import GEMMA, GEMMA4, HERMES, LLAMA, MISTRAL, MISTRAL_NAMED, PHI, CallFormat
from sadari.types import Message, ToolCall

USER = Message("user", "x")


@dataclass(frozen=True)
class Family:
    """A family's way of writing calls."""

    name: str
    tokenizer: Any
    format: CallFormat

    def answer(self, content: str, *calls: ToolCall) -> str:
        """What the model has to write for this turn."""
        prompt = render_text(self.tokenizer, (USER,), opens_answer=True)
        whole = render_text(self.tokenizer, (USER, Message("assistant", content, tool_calls=calls)))
        assert whole.startswith(prompt)
        return whole[len(prompt) :].split(find_end_of_turn(self.tokenizer))[0].removesuffix("<|tool_response>")


def chatml(turn: str) -> str:
    """A template whose assistant turns are written by `turn`."""
    return (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.role == 'assistant' %}"
        + turn
        + "{% else %}{{ message.content }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def each_call(written: str) -> str:
    return "{{ message.content }}{% for call in message.tool_calls or [] %}" + written + "{% endfor %}"


NAME, ARGUMENTS = "{{ call.function.name }}", "{{ call.function.arguments | tojson }}"
OBJECT = '{"name": "' + NAME + '", "arguments": ' + ARGUMENTS + "}"
ITEMS = "{% for call in message.tool_calls %}" + OBJECT + "{% if not loop.last %}, {% endif %}{% endfor %}"
HERMES_TURN = each_call("{% if message.content or not loop.first %}{{ '\n' }}{% endif %}<tool_call>\n" + OBJECT + "\n</tool_call>")
EXAONE_TURN = each_call("{% if not loop.first %}{{ '\n' }}{% endif %}<tool_call>" + OBJECT + "</tool_call>")
LLAMA_TURN = (
    "{% if message.tool_calls %}{% if message.tool_calls | length > 1 %}{{ raise_exception('one call at a time') }}{% endif %}"
    "{% set call = message.tool_calls[0] %}"
    '{"name": "' + NAME + '", "parameters": ' + ARGUMENTS + "}{% else %}{{ message.content }}{% endif %}"
)
CHECKS_ID = "{% if call.id | length != 9 %}{{ raise_exception('ids have nine letters and digits') }}{% endif %}"
MISTRAL_TURN = (
    "{{ message.content }}{% if message.tool_calls %}[TOOL_CALLS] [{% for call in message.tool_calls %}"
    + CHECKS_ID
    + '{{ (call.function | tojson)[:-1] }}, "id": "{{ call.id }}"}{% if not loop.last %}, {% endif %}{% endfor %}]{% endif %}'
)
PHI_TURN = "{{ message.content }}{% if message.tool_calls %}<|tool_call|>[" + ITEMS + "]<|/tool_call|>{% endif %}"
GEMMA4_TURN = (
    "{% macro value(v) %}{% if v is string %}<|\"|>{{ v }}<|\"|>{% elif v is boolean %}{{ 'true' if v else 'false' }}"
    "{% elif v is mapping %}{{ object(v) }}{% elif v is sequence %}[{% for x in v %}{{ value(x) }}"
    "{% if not loop.last %},{% endif %}{% endfor %}]{% else %}{{ v }}{% endif %}{% endmacro %}"
    "{% macro object(o) %}{{ '{' }}{% for k, v in o | dictsort %}{{ k }}:{{ value(v) }}{% if not loop.last %},{% endif %}"
    "{% endfor %}{{ '}' }}{% endmacro %}"
    + each_call("<|tool_call>call:" + NAME + "{{ object(call.function.arguments) }}<tool_call|>")
) + "{% if message.tool_calls %}<|tool_response>{% endif %}"
FUNCTIONGEMMA_TURN = each_call(  # the published one leaves the marks around texts to the caller
    "<start_function_call>call:" + NAME + "{{ '{' }}{% for k, v in call.function.arguments | items %}{{ k }}:{{ v }}"
    "{% if not loop.last %},{% endif %}{% endfor %}{{ '}' }}<end_function_call>"
)

TURNS = {
    "hermes": (HERMES_TURN, HERMES),
    "exaone": (EXAONE_TURN, replace(HERMES, space="")),
    "llama": (LLAMA_TURN, LLAMA),
    "mistral": (MISTRAL_TURN, MISTRAL),
    "mistral named": (each_call("[TOOL_CALLS]" + NAME + "[ARGS]" + ARGUMENTS), MISTRAL_NAMED),
    "mistral named with ids": (
        each_call(CHECKS_ID + "[TOOL_CALLS]" + NAME + "[CALL_ID]{{ call.id }}[ARGS]" + ARGUMENTS),
        replace(MISTRAL_NAMED, id_key="[CALL_ID]"),
    ),
    "phi": (PHI_TURN, PHI),
    "gemma4": (GEMMA4_TURN, GEMMA4),
    "functiongemma": (FUNCTIONGEMMA_TURN, GEMMA),
    "of its own": (
        each_call(
            '{% if not loop.first %} && {% endif %}<do>  {{ \'{\' }}"tool": "' + NAME + '", "with": ' + ARGUMENTS + "}\n</do>"
        ),
        CallFormat("other", "<do>  ", "\n</do>", "tool", "with", joint=" && "),
    ),
}


@pytest.fixture(scope="session", params=TURNS)
def family(request: pytest.FixtureRequest) -> Family:
    """Each family in turn."""
    turn, format = TURNS[request.param]
    return Family(request.param, tokenizer_with(chatml(turn)), format)


@pytest.fixture(scope="session")
def exact_family(family: Family) -> Family:
    """Each family whose template writes values so that they can be read back."""
    if family.name == "functiongemma":
        pytest.skip("its template leaves the marks around texts to the caller")
    return family


def tokenizer_with(template: str, *tokens: str) -> Any:
    """A tokenizer with this chat template, and with these tokens of its own."""
    return make_tokenizer(Layout("made up", ("<|im_end|>", "<|im_start|>", *tokens), template))


@pytest.fixture(scope="session")
def tokenizer_of_turn() -> Callable[..., Any]:
    """Makes a tokenizer from what its template writes for an assistant turn, and tokens of its own."""
    return lambda turn, *tokens: tokenizer_with(chatml(turn), *tokens)
