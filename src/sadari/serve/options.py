"""How the server listens, whom it lets in, and how much it does at once."""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from sadari.serve.keys import Role

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names under which a machine asks itself."""


class OidcOptions(BaseModel, frozen=True, extra="forbid"):
    """A provider of OpenID Connect with whom people sign in, and what its claims mean here."""

    issuer: str = Field(description="Address of the provider, exactly as it names itself; https, except on this machine.")
    client_id: str = Field(min_length=1, description="Name under which the provider knows this server.")
    client_secret_env: str = Field(default="", description="Environment variable that holds the secret of the client.")
    client_secret_file: Path | None = Field(default=None, description="File that holds the secret of the client.")
    scopes: tuple[str, ...] = Field(default=("openid", "profile", "email"), description="What is asked of the provider.")
    user_claim: str = Field(default="preferred_username", description="Claim that names the user; email has to be verified.")
    groups_claim: str = Field(default="groups", description="Claim whose values `roles` and `labels` translate.")
    roles: dict[str, Role] = Field(default_factory=dict, description="Role by value of the groups claim; the first that matches.")
    labels: dict[str, str] = Field(default_factory=dict, description="Access label by value of the groups claim; all that match.")
    role: Role | None = Field(default="user", description="Role where no value matches; null lets nobody in without one.")
    inside: tuple[str, ...] = Field(
        default=(), description="Further origins of the provider that may be asked though their addresses are not public."
    )
    authority: Path | None = Field(default=None, description="Certificates (PEM) that vouch for it, if not the system's.")
    title: str = Field(default="", max_length=40, description="Name of the provider on the button.")

    @model_validator(mode="after")
    def _whole(self) -> "OidcOptions":
        if self.client_secret_env and self.client_secret_file is not None:
            raise ValueError("oidc: client_secret_env and client_secret_file name two secrets: give one")
        if "openid" not in self.scopes:
            raise ValueError("oidc: scopes has to hold openid")
        return self


class ServeOptions(BaseModel, frozen=True, extra="forbid"):
    """Settings of the server. The defaults are those of one machine that serves itself."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; any but this machine's own needs keys.")
    port: NonNegativeInt = Field(default=8000, le=65535, description="Port to listen on; 0 takes a free one.")
    name: str = Field(default="sadari", pattern=r"^[\w.-]+$", description="Name of the agent as a model; NAME-raw is its model.")
    log: str = Field(default="", description="Log: a file, or postgresql://user:password@host/database; empty keeps it in memory.")
    keys: bool | None = Field(default=None, description="Whether to ask who asks; by default if there is a key or a person.")
    hosts: tuple[str, ...] = Field(default=(), description="Names, beside its own, under which clients may ask for the server.")
    origins: tuple[str, ...] = Field(
        default=(), description="Origins of other web pages that may ask, as https://desk.example.com."
    )
    max_body: PositiveInt = Field(default=4 * 2**20, description="Most bytes of a request.")
    at_once: PositiveInt = Field(default=64, description="Requests that are worked on at once.")
    waiting: NonNegativeInt = Field(default=64, description="Requests that may wait for their turn; more are told to come again.")
    wait_s: PositiveFloat = Field(default=10.0, description="Seconds after which a waiting request is told to come again.")
    requests_per_minute: PositiveInt = Field(default=600, description="Requests of one key in a minute, unless the key says so.")
    concurrent: PositiveInt = Field(default=32, description="Requests of one key at once, unless the key says so.")
    price_per_1k_prompt_tokens: NonNegativeFloat = Field(default=0.0, description="Price of 1,000 prompt tokens.")
    price_per_1k_completion_tokens: NonNegativeFloat = Field(default=0.0, description="Price of 1,000 completion tokens.")
    session_idle_minutes: PositiveFloat = Field(default=120.0, description="Minutes without a request after which a session ends.")
    session_hours: PositiveFloat = Field(default=12.0, description="Hours after which a session ends whatever is done.")
    oidc: OidcOptions | None = Field(default=None, description="Provider of OpenID Connect with whom people may sign in.")
    proxies: tuple[str, ...] = Field(
        default=(), description="Addresses or networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    drain_s: PositiveInt = Field(default=30, description="Seconds that requests under way are given when the server is stopped.")
    embedder: str = Field(default="", description="Embedder behind /v1/embeddings; empty takes that of the system, or the bundled.")
    task: Path | None = Field(default=None, description="Folder of the task that is served: its climbs, prices and test questions.")
    adapters: dict[str, Path] = Field(default_factory=dict, description="Folders of adapters that the raw model takes by name.")
    retention_days: PositiveInt | None = Field(default=None, description="Days after which a conversation that rests is erased.")
    log_format: Literal["text", "json"] = Field(default="text", description="Lines on standard error: json tells every request.")
    trace_content: bool = Field(default=False, description="Put what was said into traces; who reads those reads conversations.")
    certificate: Path | None = Field(default=None, description="TLS certificate in PEM; with it the server speaks https only.")
    private_key: Path | None = Field(default=None, description="Private key of the certificate, in PEM.")

    @model_validator(mode="after")
    def _whole(self) -> "ServeOptions":
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together: give both, or none")
        return self

    @field_validator("proxies")
    @classmethod
    def _are_networks(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        for one in written:
            try:
                ip_network(one)
            except ValueError as error:
                raise ValueError(f"proxies: {one[:60]!r} is no address and no network, as 10.0.0.7 or 10.0.0.0/24") from error
        return written

    def is_proxy(self, address: str) -> bool:
        """Whether what this address says of others is believed."""
        try:
            ip = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(ip in ip_network(one) for one in self.proxies)

    @property
    def is_priced(self) -> bool:
        """Whether tokens cost anything."""
        return self.price_per_1k_prompt_tokens + self.price_per_1k_completion_tokens > 0

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it: with a proxy before it, others can."""
        if self.proxies:
            return False
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def names(self) -> frozenset[str]:
        """Hosts that a request may be addressed to."""
        own = () if self.host in ("0.0.0.0", "::", "") else (self.host,)
        return frozenset(name.lower() for name in (*LOCAL_NAMES, *own, *self.hosts))
