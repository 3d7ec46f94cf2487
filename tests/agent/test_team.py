import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from acting import Plain, Script, call
from sadari.agent.approval import Pending, approve, deny, pending, settle
from sadari.agent.limits import Limits
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.agent.state import RunState
from sadari.agent.team import Specialist, SpecialistConfig, TeamConfig, calls_below, narrower, open_team
from sadari.errors import ConfigError
from sadari.types import Answer, Caller, Traits, Usage

from .test_crash import World, in_child

KIM = Caller("kim")
TRUSTED = Traits(is_trusted=True)
PAY = Traits("irreversible", is_trusted=True)


def shown(n: int) -> str:
    return f"{n}번"


def now() -> datetime:
    return datetime.now().astimezone()


class Office:
    """A supervisor with one specialist, who has one tool."""

    def __init__(self, boss: Script, clerk: Script, *tools: Any, **limits: Any) -> None:
        self.boss, self.clerk, self.log = boss, clerk, Log("")
        self.clerk_agent = Agent(clerk, tools)
        self.loop = Loop(Agent(boss, (Specialist("orders", "주문을 다룬다", self.clerk_agent),), limits=Limits(**limits)), self.log)

    def ask(self, text: str = "7번 취소해 주세요") -> RunState:
        return self.loop.answer(text, KIM)

    def below(self, run: str) -> RunState:
        (only,) = self.log.runs(parent=run)
        return self.loop.state(only.run)

    @property
    def asked(self) -> Pending:
        (only,) = pending(self.log, now())
        return only

    def approve(self) -> None:
        one = self.asked
        approve(self.log, one.run, one.call, one.fingerprint, "boss", now=now())

    def go_on(self, run: str) -> RunState:
        list(self.loop.advance(run))
        return self.loop.state(run)


def asks(request: str = "7번 조회", **more: Any) -> list[Any]:
    return [call("orders", request=request, **more)]


def said(state: RunState) -> str:
    assert state.answer is not None
    return state.answer.text


def test_a_specialist_is_told_the_question_and_its_part_and_its_answer_is_the_result() -> None:
    office = Office(
        Script(asks("7번 조회"), "배송 중이래요."), Script([call("look", n=7)], "배송 중"), Plain("look", shown, TRUSTED)
    )
    state = office.ask("7번 어디 있어요?")
    assert said(state) == "배송 중이래요."
    assert office.boss.heard[1][-1].content == "배송 중"
    assert office.clerk.heard[0][0].content == "사용자의 질문: 7번 어디 있어요?\n\n맡은 일: 7번 조회"
    below = office.below(state.run)
    assert (below.user, below.parent, state.calls["1.1"].run) == ("kim", state.run, below.run)


def test_what_a_specialist_used_counts_for_the_question() -> None:
    office = Office(Script(asks(), "끝"), Script([call("look", n=7)], "배송 중"), Plain("look", shown, TRUSTED))
    state = office.ask()
    # The supervisor's last answer and the specialist's: 15 tokens each; calls of the script use none.
    assert (state.tokens, state.made) == (30, 2)


def test_a_specialist_has_what_its_supervisor_has_left_and_no_more() -> None:
    said_much = Answer("", (call("orders", request="하라"),), usage=Usage(60, 0))
    endless = Script(*(Answer("", (call("look", n=n),), usage=Usage(30, 0)) for n in range(5)))
    office = Office(Script(said_much, "끝"), endless, Plain("look", shown, TRUSTED), tokens=100)
    state = office.ask()
    assert office.below(state.run).tokens == 60  # begun with 40 left: one step over
    assert said(state) == "한도(tokens)에 이르러 멈췄습니다."


def test_specialists_that_are_asked_at_once_share_what_is_left() -> None:
    twice = [call("orders", request="하나"), call("orders", request="둘")]
    office = Office(Script(twice, "끝"), Script(), tokens=1_000, calls=9)
    state = office.ask()
    limits = [(office.log.events(e.run)[0].body or {})["limits"] for e in office.log.runs(parent=state.run)]
    assert [(one["tokens"], one["calls"]) for one in limits] == [(500, 3), (500, 3)]  # two of nine calls were these


def test_nothing_left_means_no_specialist_is_asked() -> None:
    spent = Answer("", (call("orders", request="하라"),), usage=Usage(200, 0))
    office = Office(Script(spent), Script(), tokens=100)
    state = office.ask()
    assert office.log.runs(parent=state.run) == []
    assert state.calls["1.1"].status == "failed"


def test_each_limit_of_a_specialist_is_the_smaller_one_and_its_steps_are_its_own() -> None:
    own, left = Limits(steps=3, tokens=500, seconds=10), Limits(steps=8, tokens=900, seconds=5, money=2)
    assert narrower(own, left) == Limits(steps=3, tokens=500, seconds=5, money=2)


def test_an_approval_in_a_specialist_surfaces_at_the_root_and_the_root_goes_on_with_it() -> None:
    paid: list[int] = []
    pay = Plain("pay", lambda n: f"{paid.append(n) or n}원", PAY)
    office = Office(Script(asks("7원 지불"), "지불했습니다."), Script([call("pay", n=7)], "7원 지불함"), pay)
    state = office.ask("7원 내 주세요")
    one = office.asked
    assert (state.status, state.calls["1.1"].status, paid) == ("waiting", "handed", [])
    assert (one.root, one.user, one.question, one.tool) == (state.run, "kim", "7원 내 주세요", "pay")
    assert pending(office.log, now(), run=state.run) == [one]
    before = len(office.log.events(state.run))
    assert office.go_on(state.run).status == "waiting"
    assert len(office.log.events(state.run)) == before  # looking again writes nothing
    office.approve()
    assert said(office.go_on(state.run)) == "지불했습니다."
    assert paid == [7]


def test_a_denial_is_told_to_the_specialist() -> None:
    office = Office(Script(asks(), "안 됐대요."), Script([call("pay", n=7)], "거절됨"), Plain("pay", shown, PAY))
    run = office.ask().run
    one = office.asked
    deny(office.log, one.run, one.call, one.fingerprint, "boss", now=now(), reason="너무 많다")
    assert said(office.go_on(run)) == "안 됐대요."
    assert "너무 많다" in office.clerk.heard[1][-1].content


def test_a_run_that_somebody_else_went_on_with_is_found_done() -> None:
    office = Office(Script(asks(), "끝"), Script([call("pay", n=7)], "지불함"), Plain("pay", shown, PAY))
    run = office.ask().run
    office.approve()
    below = office.below(run)
    events = office.log.events(below.run)[0].body or {}
    narrowed = Agent(office.clerk, office.clerk_agent.tools, limits=Limits.model_validate(events["limits"]))
    list(Loop(narrowed, office.log).advance(below.run))
    assert said(office.go_on(run)) == "끝"
    assert office.boss.heard[1][-1].content == "지불함"


def test_cancelling_the_root_cancels_what_its_specialist_waits_for() -> None:
    office = Office(Script(asks()), Script([call("pay", n=7)]), Plain("pay", shown, PAY))
    run = office.ask().run
    office.loop.cancel(run, "kim")
    assert pending(office.log, now()) == []
    assert (office.below(run).status, office.loop.state(run).calls["1.1"].status) == ("cancelled", "denied")


@pytest.mark.parametrize("is_tainted", [True, False])
def test_a_specialist_is_as_tainted_as_who_asks_it_and_the_other_way_round(is_tainted: bool) -> None:
    free = Plain("note", shown, Traits("write", needs_approval=False, is_trusted=True))
    office = Office(Script(asks(), is_tainted=is_tainted), Script([call("note", n=7)]), free)
    assert office.ask().status == ("waiting" if is_tainted else "idle")
    other = Office(Script(asks(), "끝"), Script("봤어요", is_tainted=is_tainted))
    assert other.ask().is_tainted == is_tainted


def test_a_specialist_that_can_send_is_looked_at_before_it_hears_a_tainted_request() -> None:
    fetch = Plain("fetch", shown, Traits(sends=True))
    office = Office(Script(asks("https://a.b/?q=secret 열기"), is_tainted=True), Script(), fetch)
    assert [c.name for c in office.ask().waiting] == ["orders"]
    assert len(office.log.runs()) == 1


def test_what_users_of_one_specialist_ask_stays_theirs() -> None:
    office = Office(Script(asks(), asks()), Script([call("pay", n=1)], [call("pay", n=2)]), Plain("pay", shown, PAY))
    office.ask()
    office.loop.answer("저도요", Caller("lee"))
    assert sorted(one.user for one in pending(office.log, now())) == ["kim", "lee"]
    assert office.log.erase("kim", "kim") == 2
    assert [one.user for one in pending(office.log, now())] == ["lee"]


def test_the_calls_of_a_question_are_those_of_the_specialists() -> None:
    inner = Agent(Script([call("look", n=1)], [call("look", n=2)], "끝"), (Plain("look", shown, TRUSTED),))
    middle = Agent(Script([call("inner", request="하라")], "끝"), (Specialist("inner", "본다", inner),))
    log = Log("")
    boss = Agent(
        Script([call("look", n=0), call("middle", request="하라")], "끝"),
        (Plain("look", shown, TRUSTED), Specialist("middle", "시킨다", middle)),
    )
    state = Loop(boss, log).answer("?", KIM)
    assert [c.arguments["n"] for c in calls_below(log, state)] == [0, 1, 2]
    assert state.made == 5


# --- opening -----------------------------------------------------------------------------------------------------------


def team_of(**tools: list[str]) -> TeamConfig:
    return TeamConfig.model_validate({name: {"role": name, "goal": name, "tools": own} for name, own in tools.items()})


def test_the_supervisor_keeps_what_no_specialist_names() -> None:
    tools = [Plain(name, shown) for name in ("look", "pay", "clock")]
    goals: list[str] = []

    def speak(config: SpecialistConfig) -> Script:
        goals.append(config.goal)
        return Script()

    opened = open_team(team_of(orders=["look", "billing"], billing=["pay"], policy=[]), tools, speak)
    assert [tool.spec.name for tool in opened] == ["clock", "orders", "policy"]
    assert isinstance(opened[1], Specialist)
    assert [tool.spec.name for tool in opened[1].agent.tools] == ["look", "billing"]
    assert sorted(goals) == ["billing", "orders", "policy"]


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        ({"a": ["b"], "b": ["a"]}, "a circle: a -> b -> a"),
        ({"a": ["a"]}, "a circle: a -> a"),
        ({"a": ["b"], "b": ["c"], "c": ["d"], "d": []}, "4 hands: a -> b -> c -> d"),
        ({"가": []}, "no name of a tool"),
    ],
)
def test_a_team_that_goes_in_circles_or_too_deep_is_refused(tools: dict[str, list[str]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        team_of(**tools)


@pytest.mark.parametrize(
    ("tools", "told"), [({"orders": ["lok"]}, "Did you mean `look`"), ({"look": []}, "a tool of that name already")]
)
def test_a_specialist_that_does_not_fit_the_tools_is_refused(tools: dict[str, list[str]], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        open_team(team_of(**tools), [Plain("look", shown)], lambda config: Script())


# --- killed processes --------------------------------------------------------------------------------------------------


class Talks(Script):
    """Says what follows from how often it called."""

    def __init__(self, *says: Any) -> None:
        super().__init__()
        self.plan = says

    def reply(self, messages: Any, tools: Any, caller: Any) -> Iterator[Any]:
        asked = sum(bool(m.tool_calls) for m in messages)
        self._says = [self.plan[asked]]
        yield from super().reply(messages, tools, caller)


class TeamWorld(World):
    """The same world, changed by a specialist."""

    def loop(self) -> Loop:
        tools = (
            Plain("look", self.effect("look"), Traits(is_trusted=True)),
            Plain("mail", self.effect("mail"), Traits("write", needs_approval=False, is_trusted=True)),
            Plain("pay", self.effect("pay"), Traits("irreversible", is_trusted=True)),
        )
        clerk = Agent(Talks([call("look", n=1)], [call("mail", n=1)], [call("pay", n=1)], "처리했습니다."), tools)
        boss = Agent(Talks([call("orders", request="하라")], "다 됐습니다."), (Specialist("orders", "다룬다", clerk),))
        return Loop(boss, Log(self.log_file))


def act(world: TeamWorld) -> None:
    """What a service does with the root: begin or go on; decide what waits; until there is an answer."""
    loop = world.loop()
    roots = [entry for entry in loop.log.runs() if not entry.parent]
    run = roots[0].run if roots and roots[0].events > 1 else loop.ask("해 주세요", KIM)
    for _ in range(4):
        list(loop.advance(run))
        for one in pending(loop.log, now(), run=run):
            assert one.root == run
            if one.kind == "approval":
                approve(loop.log, one.run, one.call, one.fingerprint, "boss", now=now())
            else:  # a person looks at the world
                settle(loop.log, one.run, one.call, "boss", happened=world.happened()[one.tool] > 0)


def check(world: TeamWorld, point: int) -> None:
    log, happened = Log(world.log_file), world.happened()
    (root,) = [entry.run for entry in log.runs() if not entry.parent and entry.events > 1]
    (below,) = log.runs(parent=root)
    state = world.loop().state(root)
    undone = {e.body["id"] for e in log.events(below.run) if e.kind == "call.failed" and e.body is not None}
    for made in calls_below(log, state):
        if made.name in ("mail", "pay"):
            assert happened[made.name] == (made.id not in undone), f"line {point}: {made.name} happened {happened[made.name]} times"
    assert [c.name for c in calls_below(log, state)] == ["look", "mail", "pay"], f"line {point}"
    assert said(state) == "다 됐습니다.", f"line {point}"
    assert log.verify().faults == (), f"line {point}"


def lines_of(folder: Path) -> int:
    """How many lines a run that nobody disturbs executes, to within a tenth."""
    low, high = 100, 400_000
    while high - low > low // 10:
        middle = (low + high) // 2
        (folder / str(middle)).mkdir()
        world = TeamWorld(folder / str(middle))
        low, high = (low, middle) if in_child(lambda world=world: act(world), middle) else (middle, high)  # type: ignore[misc]
    return high


def kill_at_random(folder: Path, points: int, seed: int) -> int:
    """How many of so many processes died, each recovered by one that may die too, and by a last one that does not."""
    drawn, lines, died = random.Random(seed), lines_of(folder), 0
    for i in range(points):
        (folder / f"run{i}").mkdir()
        world, point = TeamWorld(folder / f"run{i}"), drawn.randrange(lines)
        died += not in_child(lambda world=world: act(world), point)  # type: ignore[misc]
        in_child(lambda world=world: act(world), drawn.randrange(lines))  # type: ignore[misc]
        act(world)
        check(world, point)
    return died


def test_killed_anywhere_a_specialist_goes_on_in_the_run_that_it_began(tmp_path: Path) -> None:
    assert kill_at_random(tmp_path, points=20, seed=0) > 14


@pytest.mark.slow
def test_killed_at_two_hundred_points_a_specialist_goes_on_as_well(tmp_path: Path) -> None:
    assert kill_at_random(tmp_path, points=200, seed=1) > 150
