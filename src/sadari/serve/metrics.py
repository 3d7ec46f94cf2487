"""What the server counts, in the format of Prometheus. Nothing that a user or a model said is in it."""

import platform
from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from sadari import __version__
from sadari.serve.steps import Step
from sadari.types import Usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

PERSON_S = (5, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400)
"""People take longer."""


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
        told = {"version": __version__, "python": platform.python_version()}
        Info("sadari_build", "What runs.", registry=self._registry).info(told)
        ProcessCollector(registry=self._registry)
        self._count_steps()

    def _count_steps(self) -> None:
        registry = self._registry
        self._answers = Counter("sadari_answers_total", "Questions by what came of them.", ("end",), registry=registry)
        self._abstained = Counter("sadari_abstentions_total", "Answers that say that they do not know.", registry=registry)
        self._turns = Histogram("sadari_model_turn_seconds", "Seconds of a turn of the model.", buckets=BOUNDS_S, registry=registry)
        self._calls = Counter("sadari_tool_calls_total", "Calls that were made.", ("tool", "end"), registry=registry)
        self._made = Histogram("sadari_tool_seconds", "Seconds of a call.", ("tool",), buckets=BOUNDS_S, registry=registry)
        self._rulings = Counter("sadari_rulings_total", "Rulings over calls.", ("by", "decision"), registry=registry)
        self._decisions = Histogram(
            "sadari_approval_wait_seconds", "Seconds that a call waited.", ("decision",), buckets=PERSON_S, registry=registry
        )
        self._ratings = Counter("sadari_ratings_total", "Ratings of answers.", ("rating",), registry=registry)

    def begun(self, step: Step) -> None:
        """Nothing is counted before it is over."""

    def done(self, step: Step) -> None:
        """A step of a run is over."""
        if step.kind == "question" and step.end != "waiting":
            self._answers.labels(step.end).inc()
            self._abstained.inc(bool(step.body.get("abstained")))
        elif step.kind == "model":
            self._turns.observe(_seconds(step))
        elif step.kind == "tool":
            self._calls.labels(step.name, step.end).inc()
            self._made.labels(step.name).observe(_seconds(step))
        elif step.kind == "ruling":
            for ruling in step.body.get("rulings", ()):
                self._rulings.labels(ruling["by"], ruling["decision"]).inc()
        elif step.kind == "approval":
            self._decisions.labels(step.end).observe(_seconds(step))
        elif step.kind == "rating":
            self._ratings.labels(step.end).inc()

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

    def statuses(self) -> dict[str, int]:
        """Requests by status since this process began."""
        found: dict[str, int] = {}
        for sample in next(iter(self._requests.collect())).samples:
            if sample.name.endswith("_total"):
                found[sample.labels["status"]] = found.get(sample.labels["status"], 0) + int(sample.value)
        return dict(sorted(found.items()))

    def add(self, collector: Collector) -> None:
        """Also tell what `collector` says."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)


def _seconds(step: Step) -> float:
    return max(0.0, (datetime.fromisoformat(step.ended) - datetime.fromisoformat(step.began)).total_seconds())
