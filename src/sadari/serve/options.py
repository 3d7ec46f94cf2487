"""How the server listens, whom it lets in, and how much it does at once."""

from ipaddress import ip_address
from pathlib import Path

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names under which a machine asks itself."""


class ServeOptions(BaseModel, frozen=True, extra="forbid"):
    """Settings of the server. The defaults are those of one machine that serves itself."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; any but this machine's own needs keys.")
    port: NonNegativeInt = Field(default=8000, le=65535, description="Port to listen on; 0 takes a free one.")
    name: str = Field(default="sadari", pattern=r"^[\w.-]+$", description="Name of the agent as a model; NAME-raw is its model.")
    log: str = Field(default="", description="Log: a file, or postgresql://user:password@host/database; empty keeps it in memory.")
    keys: bool | None = Field(default=None, description="Whether a key is asked for; by default as soon as there is one.")
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
    drain_s: PositiveInt = Field(default=30, description="Seconds that requests under way are given when the server is stopped.")
    embedder: str = Field(default="", description="Embedder behind /v1/embeddings; empty takes that of the system, or the bundled.")
    adapters: dict[str, Path] = Field(default_factory=dict, description="Folders of adapters that the raw model takes by name.")
    certificate: Path | None = Field(default=None, description="TLS certificate in PEM; with it the server speaks https only.")
    private_key: Path | None = Field(default=None, description="Private key of the certificate, in PEM.")

    @model_validator(mode="after")
    def _whole(self) -> "ServeOptions":
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together: give both, or none")
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
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
