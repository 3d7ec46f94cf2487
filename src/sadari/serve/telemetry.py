"""Traces for OpenTelemetry: a request, the agent's work on its question, each turn of the model, each call, each wait for a person.

Spans are made from the steps of the log (`sadari.serve.steps`); no other module knows of them, or of the names of their attributes.
They go where the usual environment says (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, ...), nowhere else;
without it nothing of this is loaded.

Covered: what was said, arguments, results and names of users are in no span, unless `content` is on; what cannot be told to the
collector holds up nobody.
Not covered: names of tools, which stand in spans. With `content` on, whoever reads the traces reads the conversations.

Source: OpenTelemetry semantic conventions for generative AI and for HTTP, as of their release 1.37.
"""

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sadari import __version__
from sadari.errors import ConfigError
from sadari.serve.lines import route_of
from sadari.serve.steps import Step

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What the conventions name.
OPERATION, PROVIDER = "gen_ai.operation.name", "gen_ai.provider.name"
AGENT_NAME, CONVERSATION = "gen_ai.agent.name", "gen_ai.conversation.id"
INPUT_TOKENS, OUTPUT_TOKENS, FINISH = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.response.finish_reasons"
TOOL_NAME, TOOL_CALL, TOOL_TYPE = "gen_ai.tool.name", "gen_ai.tool.call.id", "gen_ai.tool.type"
ERROR_TYPE = "error.type"
INPUT_MESSAGES, OUTPUT_MESSAGES = "gen_ai.input.messages", "gen_ai.output.messages"
TOOL_ARGUMENTS, TOOL_RESULT = "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"
METHOD, ROUTE, STATUS = "http.request.method", "http.route", "http.response.status_code"

# What they have no name for.
END, REQUEST_ID, RULINGS = "sadari.end", "sadari.request_id", "sadari.rulings"

LONGEST = 8_000
"""Characters of a content."""

MOST_OPEN = 10_000
"""Runs whose span is kept open, or whose next one is to follow it."""

_FAILED = frozenset({"failed", "unknown", "stopped"})


def from_environment(agent: str, *, content: bool = False) -> "Telemetry | None":
    """Traces as the environment asks for them; None if it does not, and then nothing was loaded.

    Raises:
        ConfigError: If it does, and the library is missing; or content is to be traced, and nowhere to.
    """
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
    is_on = any(os.environ.get(name) for name in names) and exporter != "none"
    if not is_on or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        if content:
            raise ConfigError("trace_content has nowhere to go. Set OTEL_EXPORTER_OTLP_ENDPOINT to the address of a collector.")
        return None
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise ConfigError("the environment asks for traces (OTEL_...). Install them: pip install 'sadari[otel]'.") from error
    provider = TracerProvider(resource=_resource(agent))
    provider.add_span_processor(BatchSpanProcessor(_exporter(exporter)))
    return Telemetry(provider, agent, content=content)


def _resource(agent: str) -> Any:
    from opentelemetry.sdk.resources import Resource

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": agent}
    return Resource.create({"service.version": __version__, **named})


def _exporter(name: str) -> Any:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if name != "otlp":
        raise ConfigError(f"OTEL_TRACES_EXPORTER is {name[:40]}: write otlp, console or none.")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


class Telemetry:
    """Makes spans of steps.

    Args:
        provider: Where they go.
        agent: Its name.
        content: Whether what was said is in them.
    """

    def __init__(self, provider: "TracerProvider", agent: str, *, content: bool = False) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self._agent, self._content = provider, agent, content
        self.tracer = provider.get_tracer("sadari", __version__)
        self.propagator = TraceContextTextMapPropagator()
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Span] = OrderedDict()

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def give_on(self, inside: Any) -> dict[str, str]:
        """The header that tells others where they are; a remote model that is asked from here on is told too."""
        from sadari.model.remote.channel import TRACEPARENT

        given: dict[str, str] = {}
        self.propagator.inject(given, inside)
        TRACEPARENT.set(given.get("traceparent", ""))
        return given

    # --- steps -------------------------------------------------------------------------------------------------------

    def begun(self, step: Step) -> None:
        """The agent works on a question: in the request that asked it, or in the call of the agent that did."""
        from opentelemetry import context, trace

        told = {OPERATION: "invoke_agent", PROVIDER: "sadari", AGENT_NAME: self._agent, CONVERSATION: step.run}
        above = self._span_of(step.parent) if step.parent else None
        inside = trace.set_span_in_context(above) if above is not None else context.get_current()
        span = self.tracer.start_span(f"invoke_agent {self._agent}", inside, start_time=_ns(step.began), attributes=told)
        self.give_on(trace.set_span_in_context(span))
        if self._content and step.body.get("text"):
            span.set_attribute(INPUT_MESSAGES, _messages("user", step.body["text"]))
        with self._lock:
            self._open[step.run] = span
            self._open.move_to_end(step.run)
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)

    def done(self, step: Step) -> None:
        """A span for what is over."""
        if step.kind == "question":
            self._end(step)
        elif step.kind in _TOLD:
            name, told = _TOLD[step.kind](step)
            if self._content:
                told |= _content(step)
            self._add(step, name, told)

    def _span_of(self, run: str) -> "Span | None":
        with self._lock:
            return self._open.get(run)

    def _end(self, step: Step) -> None:
        span = self._span_of(step.run)
        if span is None:
            return
        span.set_attribute(END, step.end)
        _tell_failure(span, step)
        if self._content and step.body.get("text"):
            span.set_attribute(OUTPUT_MESSAGES, _messages("assistant", step.body["text"]))
        span.end(_ns(step.ended))
        if step.end != "waiting":  # the wait for a person, which ends later, is told below it
            with self._lock:
                self._open.pop(step.run, None)

    def _add(self, step: Step, name: str, told: Mapping[str, Any]) -> None:
        from opentelemetry import context, trace

        above = self._span_of(step.run)
        inside = trace.set_span_in_context(above) if above is not None else context.get_current()
        attributes = {CONVERSATION: step.run, **told}
        span = self.tracer.start_span(name, inside, start_time=_ns(step.began), attributes=attributes)
        _tell_failure(span, step)
        span.end(_ns(step.ended))


# --- what is told of each kind of step ---------------------------------------------------------------------------------


def _model(step: Step) -> tuple[str, dict[str, Any]]:
    told = {OPERATION: "chat", PROVIDER: "sadari", FINISH: ["tool_calls" if step.body.get("calls") else "stop"]}
    if step.body.get("usage"):
        told[INPUT_TOKENS], told[OUTPUT_TOKENS] = step.body["usage"]
    return "chat", told


def _tool(step: Step) -> tuple[str, dict[str, Any]]:
    told = {OPERATION: "execute_tool", TOOL_NAME: step.name, TOOL_CALL: step.call, TOOL_TYPE: "function", END: step.end}
    return f"execute_tool {step.name}", told


def _ruling(step: Step) -> tuple[str, dict[str, Any]]:
    rulings = [f"{one['by']}: {one['decision']}" for one in step.body.get("rulings", ())]
    return f"rule {step.name}", {TOOL_NAME: step.name, TOOL_CALL: step.call, RULINGS: rulings}


def _approval(step: Step) -> tuple[str, dict[str, Any]]:
    return f"wait for approval {step.name}", {TOOL_NAME: step.name, TOOL_CALL: step.call, END: step.end}


_TOLD = {"model": _model, "tool": _tool, "ruling": _ruling, "approval": _approval}


def _content(step: Step) -> dict[str, Any]:
    if step.kind == "model":
        return {OUTPUT_MESSAGES: _messages("assistant", step.body["text"])} if step.body.get("text") else {}
    if step.kind == "tool":
        result = str(step.body.get("text", ""))[:LONGEST]
        return {TOOL_ARGUMENTS: json.dumps(step.body.get("arguments"), ensure_ascii=False)[:LONGEST], TOOL_RESULT: result}
    return {}


def _messages(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text[:LONGEST]}]}], ensure_ascii=False)


def _tell_failure(span: "Span", step: Step) -> None:
    if step.end in _FAILED:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute(ERROR_TYPE, step.end)


def _ns(time: str) -> int:
    """Nanoseconds since 1970, of a time in the log."""
    moment = datetime.fromisoformat(time)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1_000


# --- requests ----------------------------------------------------------------------------------------------------------


class Traced:
    """The layer of the application that makes a span of every request, in the trace that its client began, if it did."""

    def __init__(self, app: "ASGIApp", telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry import context, trace

        telemetry = self._telemetry
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name.startswith(b"trace")}
        span = telemetry.tracer.start_span(
            scope["method"], telemetry.propagator.extract(sent), kind=trace.SpanKind.SERVER, attributes={METHOD: scope["method"]}
        )
        inside = trace.set_span_in_context(span)
        token, given = context.attach(inside), telemetry.give_on(inside)
        status = 500

        async def telling(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in given.items())]
            await send(message)

        try:
            await self._app(scope, receive, telling)
        finally:
            context.detach(token)
            _end_request(span, scope, status)


def _end_request(span: "Span", scope: "Scope", status: int) -> None:
    from opentelemetry.trace import Status, StatusCode

    route = route_of(scope)
    if route != "none":
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute(ROUTE, route)
    span.set_attributes({STATUS: status, REQUEST_ID: scope.get("state", {}).get("request_id", "")})
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute(ERROR_TYPE, str(status))
    span.end()
