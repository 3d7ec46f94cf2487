"""How an agent acts, as written under `agent:` in `sadari.yaml`."""

from typing import Any

from pydantic import BaseModel, Field

from sadari.agent.limits import USUAL, Limits


class AgentConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings of the agent that a system with tools is."""

    limits: Limits = Field(default=USUAL, description="How much one question, and one user on one day, may use.")
    four_eyes: bool = Field(default=False, description="Whether nobody may approve what he asked for himself.")


class Toolbox(BaseModel, frozen=True, extra="forbid"):
    """What belongs to a system that acts, beside what it says: the tools it opens, and how it is watched.

    Kept as a file beside the system: a company's databases and APIs stay where they are, and are named, not copied.
    """

    folder: str = Field(description="Relative paths in the declarations are meant from here.")
    language: str = Field(default="ko", description="Of the task.")
    tools: tuple[tuple[str, Any], ...] = Field(default=(), description="Kind and options of each declared tool.")
    agent: AgentConfig = Field(default=AgentConfig(), description="How the agent acts.")
