"""Where a model answers, and how it is asked there."""

from dataclasses import dataclass, field

from sadari.errors import ConfigError
from sadari.model.remote.kinds import KINDS, Kind
from sadari.model.remote.wire import OPENAI_URL, checked_base


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint.

    Args:
        base_url: Up to and without `/chat/completions`; http or https, without credentials. A query in it is sent and never shown.
        api_key_env: The environment variable that holds the key. Without it, endpoints other than OpenAI's are asked without a key.
        timeout_s: For connecting, and for each pause within one answer.
        longest_s: For one whole answer.
        retries: Further attempts after 408, 409, 429, 5xx and broken connections, with exponential backoff and `Retry-After`.
        max_concurrency: Requests in flight.
        requests_per_minute: Pace; None does not limit it.
        kind: What kind of server it is; None asks it, once.
        structured: Whether a `OneOf` is sent; None sends it where the kind of server is known to keep to it.

    Raises:
        ConfigError: If a setting is none.
    """

    base_url: str = field(default=OPENAI_URL, repr=False)
    api_key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 60.0
    longest_s: float = 600.0
    retries: int = 5
    max_concurrency: int = 4
    requests_per_minute: float | None = None
    kind: Kind | None = None
    structured: bool | None = None

    def __post_init__(self) -> None:
        checked_base(self.base_url)
        if self.kind is not None and self.kind not in KINDS:
            raise ConfigError(f"kind {self.kind!r} of the endpoint is not known. Write one of {', '.join(KINDS)}, or leave it out.")
        for name in ("timeout_s", "longest_s", "max_concurrency"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} of the endpoint is {getattr(self, name):g}. It has to be above 0.")

    @property
    def shown(self) -> str:
        """The address as it may be shown."""
        return checked_base(self.base_url)

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own."""
        return self.base_url.startswith(OPENAI_URL)
