"""What each kind of server is sent, and how it is found out which kind it is."""

from collections.abc import Iterator
from typing import Any

import pytest

from replay import Exchange, Replay, replaying
from sadari.model.remote import Endpoint, RemoteModel
from sadari.model.remote.kinds import DIALECTS, kind_of
from sadari.types import Generation, Grammar, JsonSchema, Message, OneOf, Regex, Request, ToolSpec

USER = (Message("user", "환불 되나요?"),)
LABELS = OneOf(('환불"', "교환(무료)"))
SCHEMA = {"type": "object", "properties": {"일": {"type": "integer"}}, "required": ["일"]}
TOOLS = (ToolSpec("find_order", "", {"type": "object"}), ToolSpec("find_stock", "", {"type": "object"}))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with replaying(Replay()) as replay:
        yield replay


def ask(server: Replay, kind: Any, request: Request, content: str = "네", finish: str = "stop", **settings: Any) -> Generation:
    """What a server of this kind makes of a request, if it answers with `content`."""
    server.script = [Exchange(body={"choices": [{"message": {"content": content}, "finish_reason": finish}]})]
    return RemoteModel("tiny", Endpoint(server.url, kind=kind, **settings)).generate([request])[0]


# --- which kind it is -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "kind"),
    [("vllm", "vllm"), ("sglang", "sglang"), ("llamacpp", "llama_server"), ("library", "ollama"), ("system", "other")],
)
def test_the_owner_of_its_models_tells_the_kind(server: Replay, owner: str, kind: str) -> None:
    server.models = {"object": "list", "data": [{"id": "tiny", "object": "model", "owned_by": owner}]}
    model = RemoteModel("tiny", Endpoint(server.url))
    model.generate([Request(USER, temperature=1.0)] * 3)
    assert server.asked == 1
    assert {field: field in server.seen[0] for field in ("top_k", "min_p", "repetition_penalty", "repeat_penalty")} == {
        field: field in DIALECTS[kind].sampling.values() for field in ("top_k", "min_p", "repetition_penalty", "repeat_penalty")
    }


@pytest.mark.parametrize("models", [None, [], {}, {"data": None}, {"data": [1]}, {"data": [{"owned_by": ["vllm"]}]}, "vllm"])
def test_a_server_that_does_not_say_is_none_of_them(models: Any) -> None:
    assert kind_of(models) == "other"


def test_a_server_is_not_asked_where_the_kind_is_set(server: Replay) -> None:
    ask(server, "vllm", Request(USER))
    assert server.asked == 0


def test_a_server_that_cannot_be_reached_is_not_asked_for_each_request() -> None:
    model = RemoteModel("tiny", Endpoint("http://127.0.0.1:9/v1", retries=0, max_concurrency=1))
    asked = []
    model._channel._ask_kind = lambda client: asked.append(client)  # type: ignore[method-assign, assignment]
    model.generate([Request(USER)] * 5)
    assert len(asked) == 1


# --- sampling -------------------------------------------------------------------------------------------------------------------


DRAWN = Request(USER, temperature=0.7, top_k=20, min_p=0.1, repetition_penalty=1.2)


def test_sampling_goes_to_servers_that_know_it(server: Replay) -> None:
    ask(server, "vllm", DRAWN)
    ask(server, "llama_server", DRAWN)
    assert {"top_k": 20, "min_p": 0.1, "repetition_penalty": 1.2}.items() <= server.seen[0].items()
    assert {"top_k": 20, "min_p": 0.1, "repeat_penalty": 1.2, "repeat_last_n": 65536}.items() <= server.seen[1].items()


def test_neutral_values_are_sent_because_the_defaults_of_servers_are_others(server: Replay) -> None:
    ask(server, "sglang", Request(USER, temperature=1.0))
    ask(server, "llama_server", Request(USER, temperature=1.0))
    assert {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}.items() <= server.seen[0].items()
    assert {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}.items() <= server.seen[1].items()
    assert "repeat_last_n" not in server.seen[1]


@pytest.mark.parametrize("kind", ["openai", "ollama", "other"])
def test_what_a_server_would_pass_over_is_refused(server: Replay, kind: str) -> None:
    made = ask(server, kind, DRAWN)
    assert "not known to take top_k, min_p, repetition_penalty" in made.error
    assert server.seen == []


def test_what_changes_nothing_is_not_refused(server: Replay) -> None:
    assert ask(server, "other", Request(USER, top_k=20, min_p=0.1)).error is None


# --- constraints ----------------------------------------------------------------------------------------------------------------


def test_options_are_sent_as_each_kind_takes_them(server: Replay) -> None:
    request = Request(USER, constraint=LABELS)
    for kind in ("vllm", "sglang", "llama_server"):
        assert ask(server, kind, request, "교환(무료)").text == "교환(무료)"
    vllm, sglang, llama = server.seen
    assert vllm["structured_outputs"] == {"choice": ['환불"', "교환(무료)"]}
    assert sglang["regex"] == r'(환불"|교환\(무료\))'
    assert llama["grammar"] == r'root ::= "환불\"" | "교환(무료)"'


@pytest.mark.parametrize(("kind", "structured"), [("openai", None), ("ollama", None), ("other", True)])
def test_options_are_wrapped_where_only_objects_can_be_asked_for(server: Replay, kind: str, structured: bool | None) -> None:
    made = ask(server, kind, Request(USER, constraint=LABELS), '{"answer": "교환(무료)"}', structured=structured)
    assert made.text == "교환(무료)"
    sent = server.seen[0]["response_format"]["json_schema"]
    assert sent["strict"] is True
    assert sent["schema"]["properties"]["answer"]["enum"] == ['환불"', "교환(무료)"]


@pytest.mark.parametrize(
    ("kind", "constraint", "structured"),
    [("other", LABELS, None), ("vllm", LABELS, False), ("vllm", OneOf(("A", "B"), most=2), None)],
)
def test_options_that_cannot_be_sent_are_not(server: Replay, kind: str, constraint: OneOf, structured: bool | None) -> None:
    made = ask(server, kind, Request(USER, constraint=constraint), "글쎄요", structured=structured)
    assert made.text == "글쎄요"
    assert not {"structured_outputs", "response_format"} & set(server.seen[0])


@pytest.mark.parametrize("kind", list(DIALECTS))
def test_a_schema_goes_to_every_server(server: Replay, kind: str) -> None:
    assert ask(server, kind, Request(USER, constraint=JsonSchema(SCHEMA)), '{"일": 7}').text == '{"일": 7}'
    assert server.seen[0]["response_format"]["json_schema"]["schema"] == SCHEMA


def test_patterns_and_grammars_go_where_they_are_taken(server: Replay) -> None:
    ask(server, "vllm", Request(USER, constraint=Regex("[0-9]+")), "7")
    ask(server, "sglang", Request(USER, constraint=Regex("[0-9]+")), "7")
    ask(server, "vllm", Request(USER, constraint=Grammar('start: "a"')), "a")
    assert server.seen[0]["structured_outputs"] == {"regex": "[0-9]+"}
    assert server.seen[1]["regex"] == "[0-9]+"
    assert server.seen[2]["structured_outputs"] == {"grammar": 'start: "a"'}


@pytest.mark.parametrize("kind", ["openai", "llama_server", "ollama", "other"])
def test_patterns_and_grammars_are_refused_elsewhere(server: Replay, kind: str) -> None:
    assert "cannot be held to a pattern" in ask(server, kind, Request(USER, constraint=Regex("[0-9]+"))).error
    assert "cannot be held to a Lark grammar" in ask(server, kind, Request(USER, constraint=Grammar('start: "a"'))).error
    assert server.seen == []


@pytest.mark.parametrize(
    ("constraint", "content"),
    [
        (JsonSchema(SCHEMA), "7일입니다"),
        (JsonSchema(SCHEMA), '{"일": "7"}'),
        (JsonSchema(SCHEMA), "[" * 100_000),
        (JsonSchema({"$ref": "http://127.0.0.1:9/schema"}), "1"),
        (LABELS, "환불"),
    ],
)
def test_an_answer_outside_its_constraint_is_an_error(server: Replay, constraint: Any, content: str) -> None:
    made = ask(server, "vllm", Request(USER, constraint=constraint), content)
    assert made.finish == "error"
    assert "did not hold the answer to the constraint" in made.error


def test_an_answer_cut_within_its_constraint_is_truncated(server: Replay) -> None:
    made = ask(server, "vllm", Request(USER, constraint=JsonSchema(SCHEMA)), '{"일": ', "length")
    assert (made.finish, made.text) == ("truncated", '{"일": ')


# --- tools and adapters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["none", "required"])
def test_tool_choice_is_sent(server: Replay, choice: str) -> None:
    ask(server, "vllm", Request(USER, TOOLS, tool_choice=choice, parallel_tool_calls=False))
    assert server.seen[0]["tool_choice"] == choice
    assert server.seen[0]["parallel_tool_calls"] is False


def test_a_tool_is_named_or_the_only_one(server: Replay) -> None:
    ask(server, "vllm", Request(USER, TOOLS, tool_choice="find_stock"))
    ask(server, "llama_server", Request(USER, TOOLS, tool_choice="find_stock"))
    assert server.seen[0]["tool_choice"] == {"type": "function", "function": {"name": "find_stock"}}
    assert len(server.seen[0]["tools"]) == 2
    assert server.seen[1]["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in server.seen[1]["tools"]] == ["find_stock"]


def test_a_tool_that_is_none_of_them_is_refused(server: Replay) -> None:
    assert "'find_shop' is none of the tools" in ask(server, "vllm", Request(USER, TOOLS, tool_choice="find_shop")).error


def test_a_server_without_tool_choice_is_shown_no_tools_or_refused(server: Replay) -> None:
    ask(server, "ollama", Request(USER, TOOLS, tool_choice="none"))
    assert "tools" not in server.seen[0]
    assert "does not know tool_choice" in ask(server, "ollama", Request(USER, TOOLS, tool_choice="required")).error


def test_parallel_calls_are_asked_for_where_one_is_the_default(server: Replay) -> None:
    ask(server, "llama_server", Request(USER, TOOLS))
    ask(server, "other", Request(USER, TOOLS))
    assert server.seen[0]["parallel_tool_calls"] is True
    assert "parallel_tool_calls" not in server.seen[1]


def test_an_adapter_is_named_as_each_kind_names_it(server: Replay) -> None:
    request = Request(USER, adapter="shop")
    ask(server, "vllm", request)
    ask(server, "sglang", request)
    assert [sent["model"] for sent in server.seen] == ["shop", "tiny:shop"]
    assert "the adapter 'shop' cannot be named" in ask(server, "openai", request).error


def test_log_probabilities_are_asked_for_with_at_least_one_token_where_none_gives_none(server: Replay) -> None:
    ask(server, "llama_server", Request(USER, logprobs=0))
    ask(server, "vllm", Request(USER, logprobs=0))
    assert [sent["top_logprobs"] for sent in server.seen] == [1, 0]
