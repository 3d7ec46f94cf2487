"""From what a task file says of the web to its tools."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from sadari.agent.tools.place import Place
from sadari.agent.tools.web.fetch import WebFetch
from sadari.agent.tools.web.pages import READ, LivePages, Pages
from sadari.agent.tools.web.providers import BRAVE, TAVILY, Brave, Searxng, Service, Tavily
from sadari.agent.tools.web.recorded import RecordedWeb
from sadari.agent.tools.web.search import Provider, WebSearch
from sadari.egress import Caps, Egress, EgressError, parse_address
from sadari.errors import ConfigError
from sadari.types import Tool

_KEYS = {"brave": "BRAVE_API_KEY", "tavily": "TAVILY_API_KEY", "searxng": ""}
_ADDRESSES = {"brave": BRAVE, "tavily": TAVILY, "searxng": ""}


class WebOptions(BaseModel, frozen=True, extra="forbid"):
    """The web, as declared under `tools`: `{web: brave}`, or `{web: {provider: searxng, base_url: "https://search.example"}}`."""

    provider: Literal["searxng", "brave", "tavily", "recorded", "none"] = Field(
        description="What searches; `recorded` is a web in a file, `none` opens pages without searching."
    )
    base_url: str = Field(default="", description="Address of the service; needed for SearXNG.")
    private: bool = Field(default=False, description="Whether `base_url` may lead into the company's own network.")
    key: str = Field(
        default="", description="Name of the secret that holds the service's key; by default BRAVE_API_KEY or TAVILY_API_KEY."
    )
    file: str = Field(default="", description="For `recorded`: a JSON file of pages, or the folder of a `pages.json`.")
    allow: tuple[str, ...] = Field(
        default=(), description="Hosts that may be opened, `*.go.kr` for all below one; none named allows all."
    )
    results: int = Field(default=5, ge=1, le=20, description="Pages that a search shows.")
    page_chars: int = Field(default=6_000, ge=500, le=100_000, description="Characters of a page that one call shows.")
    page_bytes: int = Field(default=5_000_000, ge=10_000, le=100_000_000, description="Largest page that is taken.")
    timeout_s: float = Field(default=20.0, gt=0, le=300, description="Seconds that a search or a page may take.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"provider": value} if isinstance(value, str) else value


def open_web(options: WebOptions, place: Place) -> list[Tool]:
    """`web_search`, unless the provider is `none`, and `web_fetch`.

    Raises:
        ConfigError: If an address, a key or a recording is missing or cannot be read.
    """
    _check_hosts(options.allow)
    seconds = options.timeout_s + 5  # so that the tool's own message about the time comes first
    pages: Pages = LivePages(Egress(options.allow or None), Caps(options.timeout_s, options.page_bytes, types=READ))
    provider: Provider | None = None
    if options.provider == "recorded":
        if not options.file:
            raise ConfigError("web: `provider: recorded` needs `file:`, a JSON file of pages.")
        pages = provider = RecordedWeb.read(place.path(options.file))
    elif options.provider != "none":
        service = _service(options, place)
        providers: dict[str, Callable[[Service], Provider]] = {"searxng": Searxng, "brave": Brave, "tavily": Tavily}
        provider = providers[options.provider](service)
    fetch = WebFetch(pages, options.page_chars, 2 * seconds, place.language)  # fetched, then read
    return [fetch] if provider is None else [WebSearch(provider, options.results, seconds, place.language), fetch]


def _check_hosts(hosts: tuple[str, ...]) -> None:
    for host in hosts:
        try:
            parse_address(f"https://{host.removeprefix('*.')}/")
        except EgressError:
            raise ConfigError(f"web: `allow` holds {host!r}, which is no host. Write `docs.example` or `*.docs.example`.") from None


def _service(options: WebOptions, place: Place) -> Service:
    written = (options.base_url or _ADDRESSES[options.provider]).rstrip("/")
    if not written:
        raise ConfigError("web: `provider: searxng` needs `base_url:`, the address of your SearXNG instance.")
    try:
        address = parse_address(written)
    except EgressError as error:
        raise ConfigError(f"web: `base_url`: {error}") from error
    name = options.key or _KEYS[options.provider]
    key = place.secret(name, f"web: `provider: {options.provider}`") if name else ""
    if key and address.scheme != "https" and not options.private:
        raise ConfigError(f"web: `base_url` {written} would send the key in the open. Write https://, or `private: true` inside.")
    inside = (address.origin,) if options.private else ()
    egress = Egress((address.host,), inside, (address.scheme,), (address.port,))
    return Service(written, egress, Caps(options.timeout_s, 2_000_000, redirects=0), key)
