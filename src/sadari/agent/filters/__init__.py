"""What an answer passes before it is told.

Covered: personal data, secrets, links and pictures that carry data away, sentences without a source, abuse, and regulated advice,
each masked, marked or refused as the company sets it; the text of the answer and what it quotes.

Not covered: what an answer says in other words than those that are looked for. Every filter says what it does not see.
"""

from collections.abc import Mapping

from pydantic import BaseModel, Field

from sadari.agent.filters.abuse import AbuseFilter, AbuseOptions
from sadari.agent.filters.advice import AdviceFilter, AdviceOptions
from sadari.agent.filters.claims import ClaimsFilter, ClaimsOptions
from sadari.agent.filters.links import LinksFilter, LinksOptions
from sadari.agent.filters.personal import PersonalFilter, PersonalOptions
from sadari.agent.filters.refusals import refusal_rows
from sadari.agent.filters.secrets import SecretsFilter, SecretsOptions
from sadari.agent.filters.stream import Stream
from sadari.agent.guard import Filter

__all__ = ["FiltersConfig", "Stream", "open_filters", "refusal_rows"]


class FiltersConfig(BaseModel, frozen=True, extra="forbid"):
    """Filters of an agent, as written under `agent: filters:` in `sadari.yaml`.

    `{}` takes a filter with its defaults, null leaves it out.
    """

    claims: ClaimsOptions | None = Field(default=None, description="Sentences of an answer with citations that no source says.")
    abuse: AbuseOptions | None = Field(default=None, description="Abuse and profanity, Korean and English.")
    links: LinksOptions | None = Field(default=LinksOptions(), description="Pictures from elsewhere, and links that nobody gave.")
    personal: PersonalOptions | None = Field(default=None, description="Personal data.")
    secrets: SecretsOptions | None = Field(default=SecretsOptions(), description="Keys, passwords, and texts that are never told.")
    advice: AdviceOptions | None = Field(default=None, description="Medical, legal and investment advice.")


def open_filters(config: FiltersConfig, secrets: Mapping[str, str]) -> tuple[Filter, ...]:
    """The filters, in the order in which an answer passes them.

    Args:
        secrets: Those of the environment, by name.

    Raises:
        ConfigError: If a secret that is never to be told is not set, or too short.
    """
    filters: list[Filter | None] = [
        ClaimsFilter(config.claims) if config.claims else None,
        AbuseFilter(config.abuse) if config.abuse else None,
        LinksFilter(config.links) if config.links else None,
        PersonalFilter(config.personal) if config.personal else None,
        SecretsFilter(config.secrets, secrets) if config.secrets else None,
        AdviceFilter(config.advice) if config.advice else None,
    ]
    return tuple(one for one in filters if one is not None)
