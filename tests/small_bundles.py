"""Runs whose winners say what they are told to, made without climbing."""

import json
from pathlib import Path
from typing import Any

from sadari.agent.config import Toolbox
from sadari.bundle import save_bundle
from sadari.files import to_json, write_text
from sadari.types import Built, Scorecard, System, Verdict

PAY = '''
from pathlib import Path

from sadari import tool

@tool(effect="write", needs_approval=True)
def pay(n: int) -> str:
    """Pay.

    Args:
        n: How much.
    """
    open(Path(__file__).with_name("paid"), "a").write(f"{n}\\n")
    return "paid"
'''
"""A file of tools for `{"python": "tools.py"}`: what was paid stands in `paid` beside it."""


def write_run(
    task: Path, number: int, rules: Any, *, right: int = 16, taken: bool = True, tools: tuple[tuple[str, Any], ...] = ()
) -> Path:
    """A finished climb of one step and the bundle of its winner, which got `right` of 20 examples right.

    Args:
        rules: Of the scripted model; a text is all it says.
        tools: Kind and options of each, in the task's folder.
    """
    run = task / "runs" / str(number)
    said = [{"say": rules}] if isinstance(rules, str) else rules
    write_text(task / f"rules-{number}.json", json.dumps(said))
    toolbox = None
    if tools:
        toolbox = run / "toolbox.json"
        write_text(toolbox, Toolbox(folder=str(task.resolve()), tools=tools).model_dump_json())
    system = System(f"scripted:{(task / f'rules-{number}.json').resolve()}", toolbox=toolbox)
    scores = (1.0,) * right + (0.0,) * (20 - right)
    ids = tuple(f"test-{i}" for i in range(20))
    card = Scorecard("prompt", "exact", ids, scores, ("",) * 20, (0.1,) * 20, (1,) * 20, (1,) * 20, 0, 0.5, 0.9, 10.0, 0.0)
    verdict = Verdict("better" if taken else "cannot_tell", taken, 0.3, 0.1, 0.5, 0.001, None, "taken" if taken else "cannot tell")
    place = run / "steps" / "1-prompt"
    for name, kept in (("built", Built(system)), ("scorecard", card), ("verdict", verdict)):
        write_text(place / f"{name}.json", to_json(kept))
    save_bundle(system, run / "best")
    write_text(run / "report.json", "{}")
    return run / "best"
