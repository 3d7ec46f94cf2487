"""Tool calls: names, and arguments with their accepted alternatives, in any order."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from sadari.measure.scorers.scoring import shorten
from sadari.measure.scorers.values import Numbers, Strings, TooDeepError, value_key
from sadari.types import AcceptedCall, Answer, Example, Reference, Score, ToolCall

_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ToolCallScorer:
    """1 if the answer makes exactly the reference's calls, in any order: same names, an accepted value for every argument.

    An argument that the reference does not know is wrong; one that it marks as optional may be left out. Where the reference makes
    no call, no call is right. Calls of one name are matched so that as many as possible are right.

    Args:
        strings: How texts are compared, see `values.value_key`; "lenient" is the rule of BFCL, "loose" that of FunctionChat-Bench.
        numbers: "value" takes 3 and 3.0 for one number, "typed" does not.
    """

    strings: Strings = "exact"
    numbers: Numbers = "value"

    @property
    def name(self) -> str:
        settings = [*([self.strings] if self.strings != "exact" else []), *([self.numbers] if self.numbers != "value" else [])]
        return f"tool_call ({', '.join(['names and arguments, any order', *settings])})"

    def score(self, example: Example, answer: Answer) -> Score:
        wanted, said = accepted_calls(example.reference), answer.tool_calls
        if not wanted and said:
            return Score(0.0, f"no call is right, but it calls {_listed(said)}")
        rights = [self._right(call) for call in wanted]
        keys = [self._keys(call) for call in said]
        taken = _match([[at for at, call in enumerate(said) if _fits(right, call.name, keys[at])] for right in rights])
        missing = [call for at, call in enumerate(wanted) if at not in taken.values()]
        extra = [call for at, call in enumerate(said) if at not in taken]
        faults = [f"missing: {_listed(missing)}"] * bool(missing) + [f"extra: {_listed(extra)}"] * bool(extra)
        return Score(0.0, "; ".join(faults)) if faults else Score(1.0)

    def _right(self, call: AcceptedCall) -> "_Right":
        arguments = {
            name: frozenset(value_key(value, self.strings, self.numbers) for value in values)
            for name, values in call.arguments.items()
        }
        return _Right(call.name, arguments, frozenset(call.arguments) - frozenset(call.optional))

    def _keys(self, call: ToolCall) -> Mapping[str, Hashable] | None:
        try:
            return {name: value_key(value, self.strings, self.numbers) for name, value in call.arguments.items()}
        except TooDeepError:
            return None


def accepted_calls(reference: Reference) -> tuple[AcceptedCall, ...]:
    """The calls that a right answer makes, each with all its accepted arguments."""
    if reference.accepts:
        return reference.accepts
    return tuple(AcceptedCall(call.name, {name: (value,) for name, value in call.arguments.items()}) for call in reference.calls)


@dataclass(frozen=True, slots=True)
class _Right:
    name: str
    arguments: Mapping[str, frozenset[Hashable]]
    needed: frozenset[str]


def _fits(right: _Right, name: str, keys: Mapping[str, Hashable] | None) -> bool:
    if keys is None or name != right.name or not right.needed <= keys.keys():
        return False
    return all(argument in right.arguments and key in right.arguments[argument] for argument, key in keys.items())


def _match(fitting: Sequence[Sequence[int]]) -> dict[int, int]:
    """A largest matching: which wanted call each said call stands for, where `fitting` lists the said calls that fit each wanted.

    Source:
        Augmenting paths: Kuhn (1955), The Hungarian method for the assignment problem.
    """
    taken: dict[int, int] = {}

    def place(wanted: int, tried: set[int]) -> bool:
        for said in fitting[wanted]:
            if said not in tried:
                tried.add(said)
                if said not in taken or place(taken[said], tried):
                    taken[said] = wanted
                    return True
        return False

    for wanted in range(len(fitting)):
        place(wanted, set())
    return taken


def _listed(calls: Sequence[ToolCall] | Sequence[AcceptedCall]) -> str:
    shown = [shorten(_written(call)) for call in calls[:_MOST_SHOWN]]
    return ", ".join(shown) + (f" and {len(calls) - _MOST_SHOWN} more" if len(calls) > _MOST_SHOWN else "")


def _written(call: ToolCall | AcceptedCall) -> str:
    """The call as one would write it; of accepted values the first, and nothing that may be left out."""
    arguments = dict(call.arguments)
    if isinstance(call, AcceptedCall):
        arguments = {name: values[0] for name, values in call.arguments.items() if values and name not in call.optional}
    try:
        return f"{call.name}({', '.join(f'{name}={value!r}' for name, value in sorted(arguments.items()))})"
    except RecursionError:
        return f"{call.name}(…)"
