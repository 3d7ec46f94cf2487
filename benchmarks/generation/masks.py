"""What holding answers to JSON Schemas costs and gives: `python masks.py '{"what": "walks" | "overhead", ...}'` prints JSON.

*walks*: the bundled model, drawing at temperature 1, writes arguments for the tools of BFCL and FunctionChat-Bench, held to their
schemas and not; an answer counts if it ended by itself and the schema accepts it, as `jsonschema` sees it.

*overhead*: a step of the 0.5B shape with every row held to a schema, against one with none.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator

from sadari.model.local import LocalModel
from sadari.task.messages import RowProblems, read_tools
from sadari.types import Generation, JsonSchema, Message, Request, ToolSpec

LONGEST, LONGEST_FREE = 2048, 512
"""Tokens after which a walk is cut, and counts as wrong: held to a schema, and free, where many never end."""

FREE = 100
"""Walks without masks, at most."""

ROWS, FEW, MANY, ROUNDS = 8, 8, 40, 3
"""Of the overhead: answers written together; what `MANY` tokens take beyond `FEW`, the fastest of so many rounds."""

TEXT = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 4000}}, "required": ["text"]}
"""In a free string nearly every token is possible: the largest masks there are, and no token without an alternative."""


def read_tool_specs(data: Path) -> list[ToolSpec]:
    """Every tool that the two sets declare with at least one parameter, each once, in file order."""
    found: dict[str, ToolSpec] = {}
    for page in [*sorted((data / "bfcl").glob("*.jsonl")), data / "ko-functionchat" / "singlecall.jsonl"]:
        for row in map(json.loads, page.read_text(encoding="utf-8").splitlines()):
            for tool in read_tools(row.get("function") or row.get("tools"), "tools", RowProblems(page.name)):
                if tool.parameters.get("properties"):
                    found.setdefault(json.dumps([tool.name, tool.parameters], sort_keys=True), tool)
    return list(found.values())


def walks(model: LocalModel, tools: Sequence[ToolSpec], *, is_masked: bool) -> list[Generation]:
    """One drawn answer for each tool."""
    requests = [
        Request(
            (Message("user", f"{tool.description}\n{json.dumps(tool.parameters, ensure_ascii=False)}\nJSON:"),),
            max_new_tokens=LONGEST if is_masked else LONGEST_FREE,
            temperature=1.0,
            seed=seed,
            constraint=JsonSchema(tool.parameters) if is_masked else None,
        )
        for seed, tool in enumerate(tools)
    ]
    return model.generate(requests)


def is_valid(answer: Generation, schema: Mapping[str, Any]) -> bool:
    """Whether the answer ended by itself and is a value that the schema accepts."""
    if answer.finish != "stop":
        return False
    try:
        return bool(Draft202012Validator(schema).is_valid(json.loads(answer.text)))
    except ValueError:
        return False


def run_walks(folder: Path, data: Path, count: int) -> dict[str, Any]:
    """Shares of valid answers with masks and without, and what went wrong with masks, a line each."""
    tools = read_tool_specs(data)
    order = np.random.default_rng(0).permutation(len(tools))[:count]
    tools, model = [tools[i] for i in order], LocalModel(folder)
    held, free = walks(model, tools, is_masked=True), walks(model, tools[:FREE], is_masked=False)
    # An integer that has to be one of three texts: no answer is right, and the request is refused with these words.
    empty = [tool.name for answer, tool in zip(held, tools, strict=True) if "Unsatisfiable schema" in (answer.error or "")]
    pairs = [(answer, tool) for answer, tool in zip(held, tools, strict=True) if tool.name not in empty]
    valid = [is_valid(answer, tool.parameters) for answer, tool in pairs]
    faults = [
        f"{tool.name}: {answer.finish}: {answer.error or answer.text[-200:]!r}"
        for (answer, tool), good in zip(pairs, valid, strict=True)
        if not good
    ]
    unmasked = [is_valid(answer, tool.parameters) for answer, tool in zip(free, tools, strict=False)]
    shares = {"valid": float(np.mean(valid)), "unmasked": float(np.mean(unmasked))}
    return {"count": len(pairs), "free": len(free), **shares, "faults": faults[:20], "refused": empty}


def run_overhead(folder: Path) -> dict[str, Any]:
    """Seconds of a step with and without masks, and the extra time as a share."""
    model = LocalModel(folder)
    free = [_step_s(model, None) for _ in range(2)][-1]  # the first warms up
    held = _step_s(model, JsonSchema(TEXT))
    for _ in range(ROUNDS - 1):
        free, held = min(free, _step_s(model, None)), min(held, _step_s(model, JsonSchema(TEXT)))
    return {"free_s": free, "held_s": held, "overhead": held / free - 1}


def _step_s(model: LocalModel, constraint: JsonSchema | None) -> float:
    few, many = (_answers(model, constraint, tokens) for tokens in (FEW, MANY))
    return (many[0] - few[0]) / (many[1] - few[1])


def _answers(model: LocalModel, constraint: JsonSchema | None, tokens: int) -> tuple[float, float]:
    """Seconds, and the mean number of tokens written."""
    requests = [Request((Message("user", f"{n}: {n * n}"),), max_new_tokens=tokens, constraint=constraint) for n in range(ROWS)]
    began = time.perf_counter()
    answers = model.generate(requests)
    seconds = time.perf_counter() - began
    faults = [answer.error for answer in answers if answer.error]
    if faults:
        raise SystemExit(f"{len(faults)} of {ROWS} answers failed; the first: {faults[0]}")
    return seconds, float(np.mean([answer.usage.completion_tokens for answer in answers]))


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    if told["what"] == "walks":
        print(json.dumps(run_walks(Path(told["model"]), Path(told["data"]), told["count"])))
    else:
        print(json.dumps(run_overhead(Path(told["model"]))))
