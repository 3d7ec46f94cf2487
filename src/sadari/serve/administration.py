"""Routes of administrators: people, what the agent may do, the integrity of the log, erasing a user, and what they did themselves.

Covered: only the role admin comes in; nobody takes away his own role or locks himself out; what changes something is kept
(`sadari.serve.acts`), without passwords; a user is erased only under the name that was typed.
Not covered: two administrators who lock out each other; `sadari serve people` on the machine itself lets them in again.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from sadari.agent.judge import Judge
from sadari.agent.limits import Limits
from sadari.agent.loop import Agent
from sadari.agent.policy import Policy
from sadari.serve.entry import ServiceOf, permitted
from sadari.serve.faults import ApiError, missing, wrong
from sadari.serve.keys import Identity, Role
from sadari.types import Tool

router = APIRouter()

Admin = Annotated[Identity, Depends(permitted("administer"))]

MOST_TOLD = 500


class NewPerson(BaseModel, frozen=True, extra="forbid"):
    """Somebody who may sign in from now on."""

    user: str = Field(max_length=64)
    role: Role = "user"
    labels: tuple[str, ...] = Field(default=(), max_length=100)
    password: str | None = Field(default=None, max_length=256, description="null for who comes from the OpenID Connect provider.")


class ChangedPerson(BaseModel, frozen=True, extra="forbid"):
    """What is changed of a person; what is left out stays."""

    role: Role | None = None
    labels: tuple[str, ...] | None = Field(default=None, max_length=100)
    disabled: bool | None = None
    password: str | None = Field(default=None, max_length=256)


class Confirmed(BaseModel, frozen=True, extra="forbid"):
    """That an erasure is meant."""

    confirm: str = Field(max_length=64, description="The name of the user once more.")


class Anchor(BaseModel, frozen=True, extra="forbid"):
    """Against what the log is held."""

    anchor: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", description="A head that an earlier check gave; or nothing.")


# --- people ------------------------------------------------------------------------------------------------------------


@router.get("/people")
def list_people(service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Who may sign in."""
    return {"people": [asdict(person) for person in service.people.all()]}


@router.post("/people")
def add_person(wanted: NewPerson, service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Let somebody sign in from now on."""
    service.people.add(wanted.user, wanted.role, wanted.labels, wanted.password)
    service.acts.keep(identity.user, "person.add", wanted.user, role=wanted.role, labels=wanted.labels)
    return {"user": wanted.user}


@router.post("/people/{user}")
def change_person(user: str, wanted: ChangedPerson, service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Change what is given of a person."""
    if service.people.find(user) is None:
        raise missing(f"person {user}")
    loses = wanted.disabled or wanted.role not in (None, "admin")
    if user == identity.user and loses:
        raise ApiError(409, "This is yourself: ask another administrator, or you could not come in again.", code="self")
    changes = wanted.model_dump(exclude_none=True)
    service.people.change(user, **changes)
    service.acts.keep(identity.user, "person.change", user, **(changes | ({"password": "new"} if wanted.password else {})))
    return {"user": user}


# --- keeping and erasing -----------------------------------------------------------------------------------------------


@router.get("/retention")
def show_retention(service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """How many days conversations are kept, when it was looked last, and how many are due."""
    return service.retention.state()


@router.post("/retention/apply")
def apply_retention(service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Erase now what is due."""
    if service.retention.days is None:
        raise ApiError(409, "Everything is kept: start the server with --retention-days.", code="retention")
    runs = service.retention.apply(datetime.now(UTC), by=identity.user)
    service.acts.keep(identity.user, "retention.apply", runs=runs)
    return service.retention.state() | {"runs": runs}


@router.post("/users/{user}/erase")
def erase_user(user: str, confirmed: Confirmed, service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Erase what a user said and was told, for ever. That there were such events stays, so that the log can still be verified."""
    if confirmed.confirm != user or not user.isprintable():
        raise wrong("confirm", "write the name of the user once more; it cannot be undone.")
    erased = service.retention.erase_user(user, identity.user)
    service.acts.keep(identity.user, "user.erase", user, **asdict(erased))
    return {"user": user, "erased": asdict(erased)}


# --- the log -----------------------------------------------------------------------------------------------------------


@router.post("/log/verify")
def verify_log(held: Anchor, service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Whether every event is as it was written, and the head to keep elsewhere."""
    found = service.log.verify(held.anchor)
    service.acts.keep(identity.user, "log.verify", found.head[:16], events=found.events, faults=len(found.faults))
    return asdict(found) | {"is_whole": not found.faults}


@router.get("/acts")
def list_acts(service: ServiceOf, identity: Admin, most: Annotated[int, Query(ge=1, le=MOST_TOLD)] = 100) -> dict[str, Any]:
    """What administrators did, newest first."""
    return {"acts": [asdict(act) for act in service.acts.all(most)]}


# --- the agent -----------------------------------------------------------------------------------------------------------


@router.get("/agent")
def show_agent(service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """What the agent that answers may do, and who watches it: to look at; it is written in `sadari.yaml`."""
    return agent_json(service.desk.loop.agent)


def agent_json(agent: Agent) -> dict[str, Any]:
    """Limits, tools, rules, filters and judge of an agent."""
    policies = [guard.config for guard in agent.guards if isinstance(guard, Policy)]
    judges = [guard for guard in agent.guards if isinstance(guard, Judge)]
    rules = [rule.model_dump(mode="json", by_alias=True, exclude_defaults=True) for p in policies for rule in p.rules]
    return {
        "version": agent.version,
        "four_eyes": agent.four_eyes,
        "limits": {name: getattr(agent.limits, name) for name in Limits.model_fields},
        "tools": [*_tools(agent, "")],
        "policy": {"rules": rules, "default": policies[0].default if policies else "allow"},
        "filters": [type(one).__name__.removesuffix("Filter").lower() for one in agent.filters],
        "judge": judges[0].options.model_dump(mode="json") | {"model": judges[0].model_name} if judges else None,
    }


def _tools(agent: Agent, specialist: str) -> Iterator[dict[str, Any]]:
    """The tools, and those of specialists below their own names."""
    for tool in agent.tools:
        below = getattr(tool, "agent", None)
        if isinstance(below, Agent):
            yield from _tools(below, tool.spec.name)
        else:
            yield _tool_json(tool) | {"specialist": specialist}


def _tool_json(tool: Tool) -> dict[str, Any]:
    traits, sandbox = tool.traits, getattr(tool, "sandbox", None)
    asks = traits.needs_approval or (traits.needs_approval is None and traits.effect != "read")
    return {
        "name": tool.spec.name,
        "description": tool.spec.description,
        "effect": traits.effect,
        "asks": asks,
        "is_trusted": traits.is_trusted,
        "sandbox": type(sandbox).__name__ if sandbox is not None else "",
    }
