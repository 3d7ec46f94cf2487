"""How an agent acts, as written under `agent:` in `sadari.yaml`."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from sadari.agent.filters import FiltersConfig
from sadari.agent.judge import JudgeOptions
from sadari.agent.limits import USUAL, Limits
from sadari.agent.memory import MemoryOptions
from sadari.agent.policy import PolicyConfig
from sadari.agent.team import TeamConfig
from sadari.errors import ConfigError


class AgentConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings of the agent that a system with tools is."""

    limits: Limits = Field(default=USUAL, description="How much one question, and one user on one day, may use.")
    policy: PolicyConfig = Field(default=PolicyConfig(), description="Rules over calls: who may call what, when, how often.")
    judge: JudgeOptions | None = Field(default=None, description="A model that is asked about calls and their results.")
    filters: FiltersConfig = Field(default=FiltersConfig(), description="What an answer passes before it is told.")
    memory: MemoryOptions | None = Field(default=None, description="How it remembers; nothing is kept if not given.")
    team: TeamConfig = Field(default=TeamConfig({}), description="Specialists by name, which it asks as it calls tools.")
    four_eyes: bool = Field(default=False, description="Whether nobody may approve what he asked for himself.")


def agent_config(written: Mapping[str, Any]) -> AgentConfig:
    """What stands under `agent:` in a task file.

    Raises:
        ConfigError: If an option is not known or does not fit; names it.
    """
    try:
        return AgentConfig.model_validate(written)
    except ValidationError as error:
        raise ConfigError("\n".join(_fault(fault) for fault in error.errors())) from error


def _fault(fault: Mapping[str, Any]) -> str:
    place = ".".join(("agent", *map(str, fault["loc"])))
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(str(fault["loc"][-1]), [*AgentConfig.model_fields, *Limits.model_fields], n=1)
        return f"{place} is no known option.{f' Did you mean `{near[0]}`?' if near else ''}"
    return f"{place}: {fault['msg'][0].lower()}{fault['msg'][1:]}, but is {str(fault['input'])[:80]!r}."


class Toolbox(BaseModel, frozen=True, extra="forbid"):
    """What belongs to a system that acts, beside what it says: the tools it opens, and how it is watched.

    Kept as a file beside the system: a company's databases and APIs stay where they are, and are named, not copied.
    """

    folder: str = Field(description="Relative paths in the declarations are meant from here.")
    language: Literal["ko", "en"] = Field(default="ko", description="Of the task.")
    tools: tuple[tuple[str, Any], ...] = Field(default=(), description="Kind and options of each declared tool.")
    agent: AgentConfig = Field(default=AgentConfig(), description="How the agent acts.")
