"""How an agent remembers."""

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt


class MemoryOptions(BaseModel, frozen=True, extra="forbid"):
    """Settings of an agent's memory, as written under `agent: memory:` in `sadari.yaml`."""

    tokens: PositiveInt = Field(
        default=3_000,
        description="Tokens of the conversation that the model is shown; what is older is summed up. Its instructions stay.",
    )
    facts: NonNegativeInt = Field(default=100, description="Facts that are kept of one user; the oldest give way. 0 keeps none.")
    expiry_days: PositiveFloat = Field(default=365.0, description="Days after which a fact that was not said again is forgotten.")


USUAL = MemoryOptions()
"""How an agent remembers unless its task says otherwise."""
