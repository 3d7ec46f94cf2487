"""What the server counts, in the format of Prometheus. Nothing that a user or a model said is in it."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sadari.types import Usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """Counters of one server.

    Args:
        running: How many requests are worked on now.
        waiting: How many calls wait for a person now.
    """

    def __init__(self, running: Callable[[], int], waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        labels = ("route", "status")
        self._requests = Counter("sadari_requests_total", "Requests by route and status.", labels, registry=self._registry)
        self._latency = Histogram(
            "sadari_request_seconds", "Seconds to the end of an answer.", ("route",), buckets=BOUNDS_S, registry=self._registry
        )
        self._first = Histogram(
            "sadari_first_piece_seconds", "Seconds to the first piece.", ("model",), buckets=BOUNDS_S, registry=self._registry
        )
        self._tokens = Counter("sadari_tokens_total", "Tokens by model and kind.", ("model", "kind"), registry=self._registry)
        Gauge("sadari_running", "Requests that are worked on.", registry=self._registry).set_function(running)
        Gauge("sadari_waiting_approvals", "Calls that wait for a person.", registry=self._registry).set_function(waiting)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request is over."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def first(self, model: str, seconds: float) -> None:
        """The first piece of an answer came."""
        self._first.labels(model).observe(seconds)

    def used(self, model: str, usage: Usage) -> None:
        """Tokens were read and written."""
        self._tokens.labels(model, "prompt").inc(usage.prompt_tokens)
        self._tokens.labels(model, "completion").inc(usage.completion_tokens)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
