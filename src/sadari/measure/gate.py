"""A regression gate: is a candidate proven worse than what is served? And the same as a JUnit file for CI.

What is asked is the opposite of a climb: there a challenger must prove that it is better, here it must not be proven worse. With
`prove`, it must itself be proven to lose less than the margin (non-inferiority).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from sadari.errors import ConfigError
from sadari.measure.scorecard import part_of
from sadari.measure.statistics import holm, mcnemar_mid_p
from sadari.measure.verdict import Language, Rule, format_p, judge
from sadari.types import Scorecard, Verdict

LEVEL = 0.05
FEW = 10
"""A slice of fewer examples is not judged by itself."""

_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the gate looked at; `message` says what was found, and `examples` which rows to look at."""

    name: str
    passed: bool
    message: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateRule:
    """What the gate lets through.

    Args:
        margin: Loss in mean score that is accepted, in [0, 1).
        prove: Also fail where a loss smaller than `margin` is not proven.
    """

    margin: float = 0.0
    prove: bool = False
    language: Language = "en"

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1:
            raise ConfigError(f"--margin is {self.margin}: it is a loss in mean score, from 0 up to 1.")
        if self.prove and self.margin == 0:
            raise ConfigError("--prove needs a --margin above 0: no finite test set proves that nothing at all is lost.")


def gate(
    baseline: Scorecard, candidate: Scorecard, rule: GateRule, slices: Mapping[str, Sequence[str]] | None = None
) -> tuple[Check, ...]:
    """What was checked: quality over all, quality by slice (Holm over the slices), and answers that failed.

    One timeout more is no regression: failures are counted against each other as answers that only one of the two got right, which
    is careful where both fail on the same examples.

    Args:
        slices: Name of a slice, such as a tag, to the ids of its examples.

    Raises:
        RunError: If the two were not measured on the same examples by the same scorer.
    """
    whole = judge(baseline, candidate, Rule(margin=rule.margin, language=rule.language))
    checks = [Check("quality", _passes(whole, whole.p_value, rule), _found(whole), _newly_wrong(baseline, candidate))]
    positions = {name: i for i, name in enumerate(baseline.ids)}
    judged: list[tuple[str, Scorecard, Scorecard, Verdict]] = []
    for name, ids in (slices or {}).items():
        at = [positions[i] for i in ids if i in positions]
        if len(at) >= FEW:
            old, new = part_of(baseline, at), part_of(candidate, at)
            judged.append((name, old, new, judge(old, new, Rule(language=rule.language))))
    for (name, old, new, verdict), p in zip(
        judged, holm([1.0 if v.p_value is None else v.p_value for *_, v in judged]), strict=True
    ):
        passed = _passes(verdict, p, GateRule(rule.margin))
        message = f"{_found(verdict)}; {len(old.ids)} examples, Holm p = {format_p(p)}"
        checks.append(Check(f"slice {name}", passed, message, () if passed else _newly_wrong(old, new)))
    return (*checks, _failures(baseline.failures, candidate.failures))


def _found(verdict: Verdict) -> str:
    """The figures of a verdict and what they prove; a gate takes nothing, so nothing is said of taking."""
    return f"{verdict.reason.rpartition(': ')[0]}: {verdict.outcome.replace('_', ' ')}"


def _failures(before: int, after: int) -> Check:
    p = mcnemar_mid_p(before, after)
    told = f"{before} -> {after} answers that were errors"
    return Check("failures", after <= before or p >= LEVEL, told if after <= before else f"{told}, p = {format_p(p)}")


def _passes(verdict: Verdict, p: float | None, rule: GateRule) -> bool:
    proven = p is not None and p < LEVEL and verdict.gain < 0 and verdict.high <= -rule.margin
    return not proven and (not rule.prove or verdict.low > -rule.margin)


def _newly_wrong(old: Scorecard, new: Scorecard) -> tuple[str, ...]:
    return tuple(i for i, before, after in zip(old.ids, old.scores, new.scores, strict=True) if after < before)


def junit(checks: Sequence[Check], *, name: str = "sadari gate", seconds: float = 0.0) -> str:
    """The checks as a JUnit XML document, which every CI can show.

    Source:
        The format as Jenkins and GitLab read it: testsuite, testcase, failure, system-out.
    """
    failed = sum(not check.passed for check in checks)
    suite = ElementTree.Element(
        "testsuite", name=name, tests=str(len(checks)), failures=str(failed), errors="0", skipped="0", time=f"{seconds:.3f}"
    )
    for check in checks:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=_clean(check.name), time="0")
        if not check.passed:
            ElementTree.SubElement(case, "failure", message=_clean(check.message), type="regression").text = _clean(
                "\n".join([check.message, *(f"worse than before: {one}" for one in check.examples)])
            )
        else:
            ElementTree.SubElement(case, "system-out").text = _clean(check.message)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)
