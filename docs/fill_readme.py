"""Fill the demo's table in README.md and README.ko.md from a finished run, so that no figure is typed by hand.

    python docs/fill_readme.py examples/mall/runs/1/report.json

Replaces what stands between `<!-- demo:start -->` and `<!-- demo:end -->`. The same file gives the same pages.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sadari.measure import format_p

REPOSITORY = Path(__file__).resolve().parents[1]
BETWEEN = re.compile(r"(<!-- demo:start -->\n).*?(<!-- demo:end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Words:
    """What the table says in one language."""

    header: tuple[str, ...]
    taken: str
    kept_out: str
    start: str
    left: str  # the rungs that were not climbed, after a space
    under: Callable[[Mapping[str, str]], str]


ENGLISH = Words(
    header=(
        "rung",
        "correct (95 % interval)",
        "p",
        "step",
        "build",
        "seconds per answer, p50 / p95",
        "{currency} per 1,000 answers",
    ),
    taken="taken",
    kept_out="not taken",
    start="start",
    left=" Not climbed, since the climb had ended: {rungs}.",
    under=lambda told: (
        f"{told['tests']} test conversations; winner: **{told['winner']}**.{told['left']} "
        f"Made by `{told['command']}` with sadari {told['version']} on {told['cores']} CPU cores, filled in by "
        "`docs/fill_readme.py`. *p* is the paired test against the system of the last step taken; a step is taken below "
        f"0.05 / {told['rungs']} if the gain also pays."
    ),
)
KOREAN = Words(
    header=("단계", "정답률 (95% 구간)", "p", "판정", "만드는 시간", "답변당 초, p50 / p95", "답변 1,000건당 {currency}"),
    taken="채택",
    kept_out="채택 안 함",
    start="출발점",
    left=" 그 전에 끝나서 오르지 않은 단계: {rungs}.",
    under=lambda told: (
        f"시험 대화 {told['tests']}건, 최종 시스템: **{told['winner']}**.{told['left']} "
        f"`{told['command']}`로 측정(sadari {told['version']}, CPU 코어 {told['cores']}개)하고 `docs/fill_readme.py`로 채웠습니다. "
        "*p*는 마지막으로 채택된 단계의 시스템과 짝지어 비교한 검정입니다. "
        f"p가 0.05 / {told['rungs']}보다 작고 이득이 비용을 넘을 때만 채택합니다."
    ),
)
PAGES = {"README.md": ENGLISH, "README.ko.md": KOREAN}


def main() -> int:
    """Fill both pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="report.json of a finished run.")
    parser.add_argument("--folder", type=Path, default=REPOSITORY, help="Where the two pages are.")
    options = parser.parse_args()
    result = json.loads(options.result.read_text(encoding="utf-8"))
    run = options.result.parent
    for name, words in PAGES.items():
        page = options.folder / name
        page.write_text(filled(page.read_text(encoding="utf-8"), demo_table(result, run, words)), encoding="utf-8")
        print(f"{page}: {len(result['steps'])} rungs")
    return 0


def filled(text: str, table: str) -> str:
    """`text` with `table` between its two marks.

    Raises:
        ValueError: If the marks do not stand in it exactly once.
    """
    new, times = BETWEEN.subn(lambda found: f"{found[1]}{table}\n{found[2]}", text)
    if times != 1:
        raise ValueError(f"the page needs one `<!-- demo:start -->` before one `<!-- demo:end -->`, but has {times} such pairs")
    return new


def demo_table(result: Mapping[str, Any], run: Path, words: Words) -> str:
    """The rungs of a run as a Markdown table, and a line on where they come from.

    Args:
        result: The run's `report.json`.
        run: Its folder; `config.json` and the predictions there tell the rest.
    """
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    steps = result["steps"]
    header = [cell.format(currency=config["task"]["money"]["currency"]) for cell in words.header]
    rows = [[step["rung"], *_cells(step, words)] for step in steps]
    lines = ["| " + " | ".join(row) + " |" for row in (header, ["---", *["---:"] * (len(header) - 1)], *rows)]
    climbed = {step["rung"] for step in steps}
    left = [rung["name"] for rung in config["task"]["ladder"] if rung["name"] not in climbed]
    quick = " --quick" if config["options"]["quick"] else ""
    told = {
        "tests": f"{_tests(run, steps[0]):,}",
        "left": words.left.format(rungs=", ".join(left)) if left else "",
        "winner": result["winner"]["rung"],
        "command": "make demo" if not quick else f"sadari climb examples/mall{quick}",
        "version": config["sadari"],
        "cores": str(os.cpu_count()),
        "rungs": str(len(config["task"]["ladder"])),
    }
    return "\n".join([*lines, "", words.under(told)])


def _cells(step: Mapping[str, Any], words: Words) -> list[str]:
    is_start = step["p_value"] is None
    cost = step["cost_per_1000_requests"]
    return [
        f"{step['quality']:.1%} ({step['quality_low']:.1%} – {step['quality_high']:.1%})",
        "" if is_start else format_p(step["p_value"]),
        words.start if is_start else words.taken if step["taken"] else words.kept_out,
        f"{step['build_seconds']:.0f} s",
        f"{step['p50_latency_s']:.2f} / {step['p95_latency_s']:.2f}",
        "" if cost is None else f"{cost:,.2f}",
    ]


def _tests(run: Path, step: Mapping[str, Any]) -> int:
    lines = (run / "predictions" / f"0-{step['rung']}.jsonl").read_text(encoding="utf-8").splitlines()
    return sum(bool(line.strip()) for line in lines)


if __name__ == "__main__":
    sys.exit(main())
