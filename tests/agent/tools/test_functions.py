from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from sadari.agent.tools import Place, open_tools
from sadari.agent.tools.functions import FunctionTool, read_docstring, tool
from sadari.errors import ConfigError, ToolFailedError, ToolRefusedError
from sadari.types import Caller, Outcome, Tool, Traits

KIM = Caller(user="kim")


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Item:
    name: str
    count: int = 1


class Node(BaseModel):
    name: str
    children: list["Node"] = []


@tool
def order(
    items: list[Item], size: Size, caller: Caller, pay: Literal["card", "cash"] = "card", on: date | None = None
) -> dict[str, Any]:
    """물건을 주문한다.

    여러 개를 한 번에 주문할 수 있다.

    Args:
        items (list): 주문할 물건,
            하나 이상.
        on: 받을 날짜.

    Returns:
        주문 내용.
    """
    return {"for": caller.user, "items": items, "size": size, "pay": pay, "on": on}


def test_a_function_becomes_a_schema_without_the_caller() -> None:
    assert isinstance(order, Tool)
    assert order.spec.name == "order"
    assert order.spec.description == "물건을 주문한다.\n\n여러 개를 한 번에 주문할 수 있다."
    item = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 1}},
        "required": ["name"],
        "additionalProperties": False,
    }
    assert order.spec.parameters == {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": item, "description": "주문할 물건, 하나 이상."},
            "size": {"enum": ["small", "large"], "type": "string"},
            "pay": {"enum": ["card", "cash"], "type": "string", "default": "card"},
            "on": {"type": "string", "format": "date", "description": "받을 날짜."},
        },
        "required": ["items", "size"],
        "additionalProperties": False,
    }


def test_arguments_arrive_as_the_declared_types_and_the_result_as_readable_json() -> None:
    outcome = order.call({"items": [{"name": "책"}], "size": "small", "on": "2026-01-02"}, KIM)
    assert outcome.data == {
        "for": "kim",
        "items": [{"name": "책", "count": 1}],
        "size": "small",
        "pay": "card",
        "on": "2026-01-02",
    }
    assert '"책"' in outcome.text


@pytest.mark.parametrize(
    ("arguments", "korean", "english"),
    [
        ({"size": "small"}, "items: 꼭 있어야 합니다", "items is missing"),
        (
            {"items": [{"name": "책", "count": "2"}], "size": "small"},
            "items.0.count: 맞지 않는 값",
            "items.0.count: input should be",
        ),
        ({"items": [], "size": "tiny"}, "size: 다음 중 하나여야 합니다: 'small', 'large'", "size must be one of 'small', 'large'"),
        ({"items": [], "size": "small", "colour": 1}, "있는 인자: items, size, pay, on", "Arguments: items, size, pay, on"),
    ],
)
def test_a_wrong_argument_is_told_by_its_field(arguments: dict[str, Any], korean: str, english: str) -> None:
    with pytest.raises(ToolFailedError) as failed:
        order.call(arguments, KIM)
    assert korean in str(failed.value)
    with pytest.raises(ToolFailedError) as failed:
        order.call(arguments, Caller(language="en"))
    assert english in str(failed.value)


def test_the_model_cannot_say_who_is_calling() -> None:
    with pytest.raises(ToolFailedError, match="caller"):
        order.call({"items": [], "size": "small", "caller": {"user": "root"}}, KIM)


def test_annotations_describe_and_odd_parameter_names_work() -> None:
    @tool
    def f(json: Annotated[str, "첫째"], _x: int, model_config: float = 0.5, copy: str | None = None) -> str:
        return f"{json} {_x} {model_config} {copy}"

    assert f.spec.parameters["properties"]["json"] == {"type": "string", "description": "첫째"}
    assert f.spec.parameters["properties"]["copy"] == {"type": "string"}
    assert f.call({"json": "a", "_x": 1, "model_config": 2}, KIM).text == "a 1 2.0 None"


def test_a_type_that_holds_itself_keeps_its_reference() -> None:
    @tool
    def count(node: Node) -> int:
        return 1 + len(node.children)

    Draft202012Validator.check_schema(count.spec.parameters)
    nested = {"node": {"name": "a", "children": [{"name": "b"}, {"name": "c", "children": [{"name": "d"}]}]}}
    Draft202012Validator(count.spec.parameters).validate(nested)
    assert count.call(nested, KIM) == Outcome("3", 3)


def test_the_decorator_carries_what_its_author_declares() -> None:
    @tool(name="cancel", effect="irreversible", idempotent=True, needs_approval=True, trusted=True, timeout_s=5, retries=1)
    def f() -> None:
        """취소한다."""

    assert f.traits == Traits("irreversible", True, True, True, timeout_s=5, retries=1)
    assert f.spec.name == "cancel"
    assert f.call({}, KIM).text == "완료했습니다."
    assert f() is None
    assert f.spec.parameters == {"type": "object", "properties": {}, "additionalProperties": False}


def test_an_effect_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="irreversible"):
        tool(effect="delete")  # type: ignore[call-overload]


def raising(error: BaseException) -> FunctionTool:
    @tool
    def f() -> str:
        raise error

    return f


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("재고가 없습니다"), "f: 재고가 없습니다"),
        (KeyError("A-1"), "f: KeyError: 'A-1'"),
        (RuntimeError("first\nsecond"), "f: RuntimeError: first"),
        (
            FileNotFoundError(2, "No such file", "/srv/shop/data/orders.db"),
            "f: FileNotFoundError: [Errno 2] No such file: 'orders.db'",
        ),
        (OSError("C:\\Users\\kim\\orders.db is locked"), "f: OSError: orders.db is locked"),
        (RuntimeError("cannot reach postgres://shop:secret@db/orders now"), "f: RuntimeError: cannot reach … now"),
        (SystemExit(1), "f: SystemExit: 1"),
        (AssertionError(), "f: AssertionError"),
    ],
)
def test_an_exception_is_told_in_one_line_without_folders(error: BaseException, told: str) -> None:
    with pytest.raises(ToolFailedError) as failed:
        raising(error).call({}, KIM)
    assert str(failed.value) == told


@pytest.mark.parametrize(
    ("error", "is_unknown"),
    [(ValueError("재고가 없습니다"), False), (KeyError("A-1"), True), (TimeoutError(), True), (SystemExit(1), True)],
)
def test_after_an_exception_that_is_no_value_error_nobody_knows_what_a_write_did(error: BaseException, is_unknown: bool) -> None:
    def f() -> None:
        raise error

    for traits in (Traits(), Traits("write", is_idempotent=True)):
        with pytest.raises(ToolFailedError):
            FunctionTool(f, traits).call({}, KIM)
    with pytest.raises(type(error) if is_unknown else ToolFailedError):
        FunctionTool(f, Traits("write")).call({}, KIM)


@pytest.mark.parametrize("error", [ToolFailedError("다시"), ToolRefusedError("안 됩니다")])
def test_errors_that_say_what_follows_are_handed_on(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        raising(error).call({}, KIM)
    assert raised.value is error


def test_a_result_that_is_no_json_is_not_shown_and_nan_is_spelt() -> None:
    @tool
    def f(which: bool) -> Any:
        return object() if which else {"rate": float("nan")}

    assert f.call({"which": True}, KIM).text == "실행했지만, 결과를 글로 옮길 수 없습니다."
    assert f.call({"which": False}, KIM).text == '{"rate": "NaN"}'


def test_functions_that_cannot_be_told_to_a_model_are_refused() -> None:
    def untyped(order):  # type: ignore[no-untyped-def]
        ...

    def starred(*orders: str) -> None: ...

    async def later(order: str) -> None: ...

    def opaque(order: FunctionTool) -> None: ...

    def 주문(order: str) -> None: ...  # noqa: N802

    for function, told in (
        (untyped, "`order` has no type"),
        (starred, "Name every parameter"),
        (later, "without `async`"),
        (opaque, "`order`, a FunctionTool"),
        (주문, 'name="..."'),
    ):
        with pytest.raises(ConfigError, match=told) as refused:
            tool(function)
        assert f"test_functions.py line {function.__code__.co_firstlineno}" in str(refused.value)


def test_a_docstring_is_read_up_to_its_sections() -> None:
    told, about = read_docstring("하나: 둘.\n\n인자:\n    가: 첫째\n    *나: 둘째:\n      더\n\n반환:\n    다: 아님\n")
    assert told == "하나: 둘."
    assert about == {"가": "첫째", "나": "둘째: 더"}


# --- files -----------------------------------------------------------------------------------------------------------------

TOOLS = '''
from __future__ import annotations
from dataclasses import dataclass
from sadari.agent.tools.functions import tool
from sadari.types import Caller

@dataclass
class Order:
    id: str

@tool(effect="write")
def cancel(order: Order, caller: Caller) -> str:
    """취소한다."""
    return f"{caller.user} {order.id}"

@tool
def look(order: str) -> str:
    """본다."""
    return order

also = look
'''


def test_the_tools_of_a_file_are_opened_in_order_and_once(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(TOOLS)
    cancel, look = open_tools([("python", "tools.py")], Place(tmp_path))
    assert (cancel.spec.name, look.spec.name) == ("cancel", "look")
    assert cancel.call({"order": {"id": "A-1"}}, KIM).text == "kim A-1"
    assert open_tools([("python", {"file": "tools.py", "only": ["look"]})], Place(tmp_path)) == [look]
    assert [path.name for path in tmp_path.iterdir()] == ["tools.py"]


def test_an_edited_file_is_run_again(tmp_path: Path) -> None:
    for answer in ("one", "two"):
        (tmp_path / "tools.py").write_text(TOOLS.replace("return order", f'return "{answer}"'))
        assert open_tools([("python", "tools.py")], Place(tmp_path))[1].call({"order": ""}, KIM).text == answer


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\nimport no_such_library\n", "tools.py line 2: ModuleNotFoundError: .*no_such_library"),
        ("x = 1\n\ndef f(:\n", "tools.py line 3: SyntaxError"),
        ("raise SystemExit(3)\n", "tools.py line 1: SystemExit"),
        ("x = 1\n", "no function has `@tool`"),
        (TOOLS + "\n@tool\ndef later(x) -> None: ...\n", "tools.py line 23: later: parameter `x` has no type"),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "tools.py").write_text(text)
    with pytest.raises(ConfigError, match=told):
        open_tools([("python", "tools.py")], Place(tmp_path))


def test_a_missing_file_and_a_missing_tool_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.py: cannot be read"):
        open_tools([("python", "nothing.py")], Place(tmp_path))
    (tmp_path / "tools.py").write_text(TOOLS)
    with pytest.raises(ConfigError, match=r"no tool is called find\. Its tools: cancel, look"):
        open_tools([("python", {"file": "tools.py", "only": ["find"]})], Place(tmp_path))


# --- declarations ----------------------------------------------------------------------------------------------------------


def test_two_tools_of_one_name_are_named_with_their_declarations(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(TOOLS)
    (tmp_path / "b.py").write_text(TOOLS)
    with pytest.raises(ConfigError, match=r"two tools are called `cancel`: `python: a\.py` and `python: b\.py`"):
        open_tools([("python", "a.py"), ("python", "b.py")], Place(tmp_path))


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (("serch", None), "Did you mean `search`"),
        (("python", {"fil": "tools.py"}), "python.fil: is no known option. Did you mean `file`"),
        (("python", None), "python.file: is missing"),
        (("python", {"file": 3}), "python.file: input should be a valid string, but is '3'"),
        (("search", {"orders": "tel"}), "search.orders: is 'tel'. Use one of 'tell' or 'leave_out'. Did you mean `tell`"),
        (("search", None), "Add `documents:`"),
    ],
)
def test_a_wrong_declaration_says_what_to_write(tmp_path: Path, declared: tuple[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        open_tools([declared], Place(tmp_path))
