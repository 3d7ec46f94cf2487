"""How much one question, and one user on one day, may use."""

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt

from sadari.agent.log import Spent
from sadari.agent.state import RunState


class Limits(BaseModel, frozen=True, extra="forbid"):
    """Limits of an agent, as written under `agent: limits:` in `sadari.yaml`."""

    steps: PositiveInt = Field(default=8, description="Answers of the model to one question; the last one may make no calls.")
    calls: NonNegativeInt = Field(default=16, description="Calls that are made for one question.")
    tokens: PositiveInt = Field(default=100_000, description="Tokens, read and written, for one question.")
    seconds: PositiveFloat = Field(
        default=300.0, description="Seconds of work on one question; what a person takes to approve is not counted."
    )
    money: PositiveFloat | None = Field(default=None, description="Money for one question, in `money.currency`.")
    tokens_a_day: PositiveInt | None = Field(default=None, description="Tokens that one user may use on one day (UTC).")
    calls_a_day: PositiveInt | None = Field(default=None, description="Calls that one user may cause on one day (UTC).")
    money_a_day: PositiveFloat | None = Field(default=None, description="Money that one user may use on one day (UTC).")
    approval_hours: PositiveFloat = Field(default=24.0, description="Hours after which a request for approval expires.")

    def reached(self, state: RunState, seconds: float) -> str:
        """The name of the limit that a question has reached; "" if none."""
        used = {"steps": state.steps, "tokens": state.tokens, "seconds": seconds, "money": state.money}
        return next((name for name, value in used.items() if (most := getattr(self, name)) is not None and value >= most), "")

    @property
    def has_days(self) -> bool:
        """Whether anything limits a user's day."""
        return any(most is not None for most in (self.tokens_a_day, self.calls_a_day, self.money_a_day))

    def reached_today(self, spent: Spent) -> str:
        """The name of the daily limit that a user has reached; "" if none."""
        used = {"tokens_a_day": spent.tokens, "calls_a_day": spent.calls, "money_a_day": spent.money}
        return next((name for name, value in used.items() if (most := getattr(self, name)) is not None and value >= most), "")


USUAL = Limits()
"""What holds where nothing is said."""
