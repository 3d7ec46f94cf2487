"""A workload under every tool: the lines of the table."""

import math

from alone import Alone, compare
from bandwidth import share_of_bandwidth
from cell import Cell
from plan import Subject
from processes import Processes, show
from report import GENERATE, Line
from shapes import sizes_of
from workloads import WORKLOADS

FEWEST = 6
"""Questions of a number of users, however rarely they ask."""

FULL_LOAD = 32
"""So many users ask as fast as `generate` can answer at its best batch size."""


def compare_batch(key: str, subject: Subject, processes: Processes) -> list[Line]:
    """All requests there at the start."""
    plan, name, lines = subject.plan, WORKLOADS[key].name, []
    count = plan.shared if key == "a" else plan.rag
    alone = _alone(key, min(plan.alone, count), subject, processes)
    for tool, setting in subject.settings.items():
        for found in processes.measure(subject.cell(tool, key, (min(count, plan.unshared) if tool == GENERATE else count,))):
            line = Line(subject.shape, name, tool, str(setting), found, agreement=compare(found.written, alone))
            lines.append(line)
            show(f"{subject.shape}, {name}: {tool}: {found.requests_per_s:.2f} requests/s, {line.agreement} as alone")
    return lines


def compare_users(subject: Subject, processes: Processes) -> list[Line]:
    """Users who do not wait for each other: the same questions at the same moments for every tool."""
    plan, lines = subject.plan, list[Line]()
    if not plan.users or GENERATE not in subject.settings:
        return []
    capacity = processes.measure(subject.cell(GENERATE, "c", (2 * FULL_LOAD,)))
    if not capacity:
        return []
    subject = subject.widened(FULL_LOAD)
    rates = tuple(users / FULL_LOAD * capacity[0].requests_per_s for users in plan.users)
    parts = tuple(max(FEWEST, math.ceil(rate * plan.chat_s)) for rate in rates)
    asked = ", ".join(f"{users} users {rate:.2f}" for users, rate in zip(plan.users, rates, strict=True))
    processes.tell(f"{subject.shape}, chat: questions a second: {asked}; {FULL_LOAD} ask as fast as {GENERATE} can answer")
    for tool, setting in subject.settings.items():
        for users, found in zip(plan.users, processes.measure(subject.cell(tool, "c", parts, rates)), strict=False):
            lines.append(Line(subject.shape, "chat", tool, str(setting), found, users))
            show(f"{subject.shape}, {users} users: {tool}: first token p95 {found.first_s(95):.3f} s")
    return sorted(lines, key=lambda line: line.users)


def compare_streams(subject: Subject, rate: float, processes: Processes) -> list[Line]:
    """Streams that do nothing but write, against what memory allows.

    Args:
        rate: Bytes copied per second.
    """
    workload, sizes, lines = WORKLOADS["d"], sizes_of(subject.shape), []
    length = workload.unique[0] + workload.output[0] / 2
    subject = subject.widened(max(subject.plan.streams))
    for tool, setting in subject.settings.items():
        for found in processes.measure(subject.cell(tool, "d", subject.plan.streams)):
            share = share_of_bandwidth(tool, sizes, found, length, rate)
            lines.append(Line(subject.shape, workload.name, tool, str(setting), found, bandwidth=share))
            told = f"{len(found.written)} streams: {tool}: {found.tokens_per_s:.0f} tokens/s"
            show(f"{subject.shape}, {told}, {share:.0%} of bandwidth")
    return sorted(lines, key=lambda line: len(line.found.written))


def _alone(key: str, count: int, subject: Subject, processes: Processes) -> list[Alone]:
    """What each of the first requests gets by itself; how many of its tokens were nearly tied is told."""
    cell = Cell("alone", subject.shape, str(subject.folder), key, (count,), (0.0,))
    answers = processes.answers(cell)
    ties, tokens = sum(len(one.ties) for one in answers), sum(len(one.ids) for one in answers)
    told = f"{subject.shape}, {WORKLOADS[key].name}: of {tokens} tokens, written one request at a time, {ties} had a second best"
    processes.tell(f"{told} within 1e-4")
    return answers
