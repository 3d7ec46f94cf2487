import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import sadari
from acting import call
from sadari.agent.log import Draft, Log
from sadari.errors import ConfigError
from sadari.serve import telemetry
from sadari.serve.steps import Step, Steps
from sadari.serve.telemetry import Telemetry, from_environment

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ROLES = {"kim": "user", "boss": "approver"}
TRACE = "0af7651916cd43dd8448eb211c80319c"

Spans = Callable[[], list[ReadableSpan]]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """What a server that is started behind this traces."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = lambda name, content: Telemetry(provider, name, content=content)  # noqa: E731
    monkeypatch.setattr("sadari.serve.service.from_environment", made)
    return lambda: list(exporter.get_finished_spans())


def tree(spans: list[ReadableSpan]) -> dict[str, set[str]]:
    """Names of the spans below each, but for requests that only look."""
    names = {span.context.span_id: span.name for span in spans}
    told: dict[str, set[str]] = {}
    for span in spans:
        if span.parent is not None:
            told.setdefault(names.get(span.parent.span_id, "client"), set()).add(span.name)
    return told


def ask(live: Any, text: str = "내 줘", **headers: str) -> Any:
    body = {"model": "sadari", "messages": [{"role": "user", "content": text}]}
    with live.http("kim") as http:
        return http.post("/v1/chat/completions", json=body, headers=headers)


def approve(live: Any) -> None:
    with live.http("boss") as boss:
        (one,) = boss.get("/sadari/approvals").json()["approvals"]
        decision = {"decision": "approve", "fingerprint": one["fingerprint"]}
        assert boss.post(f"/sadari/approvals/{one['run']}/{one['call']}", json=decision).status_code == 200
        live.wait_for(lambda: boss.get("/sadari/approvals").json()["approvals"] == [])


def test_a_question_is_traced_from_its_request_to_the_call_that_was_approved(start: Any, till: Any, spans: Spans) -> None:
    live = start([call("pay", n=5)], "냈습니다.", tools=(till.tool(),), users=ROLES)
    ask(live)
    approve(live)
    live.wait_for(lambda: sum(s.name == "invoke_agent sadari" for s in spans()) == 2)
    live.wait_for(lambda: {s.parent.span_id for s in spans() if s.parent} <= {s.context.span_id for s in spans()})
    told = tree(spans())
    assert told["POST /v1/chat/completions"] == {"invoke_agent sadari"}
    assert told["POST /sadari/approvals/{run}/{call}"] == {"invoke_agent sadari"}
    assert told["invoke_agent sadari"] == {"chat", "rule pay", "wait for approval pay", "execute_tool pay"}
    (tool,) = [s for s in spans() if s.name == "execute_tool pay"]
    assert (tool.attributes or {})["gen_ai.tool.call.id"] == "1.1"
    assert (tool.end_time or 0) >= (tool.start_time or 0) > time.time_ns() - 60 * 10**9
    (chat, _) = [s.attributes or {} for s in spans() if s.name == "chat"]
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.response.finish_reasons"]) == (0, ("tool_calls",))


def test_the_trace_of_a_client_goes_on_here_and_the_client_is_told_where(start: Any, spans: Spans) -> None:
    live = start("네.", users=ROLES)
    said = ask(live, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    assert said.headers["traceparent"].split("-")[1] == TRACE
    live.wait_for(lambda: any(s.name.startswith("POST") for s in spans()))
    assert {f"{span.context.trace_id:032x}" for span in spans()} == {TRACE}


def test_a_remote_model_goes_on_with_the_trace(start: Any, spans: Spans) -> None:
    from sadari.model.remote import RemoteModel
    from sadari.model.remote.endpoint import Endpoint

    there = start("네.")
    here = start(model=RemoteModel("sadari", Endpoint(f"{there.url}/v1", kind="other")))
    body = {"model": "sadari-raw", "messages": [{"role": "user", "content": "?"}], "stream": True}
    with here.http() as http:
        assert (
            "네." in http.post("/v1/chat/completions", json=body, headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}).text
        )
    here.wait_for(lambda: [s for s in spans() if s.name.startswith("POST")][1:])
    assert {f"{span.context.trace_id:032x}" for span in spans()} == {TRACE}


@pytest.mark.parametrize("sent", ["", "00-zz-zz-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5_000])
def test_a_wrong_traceparent_begins_a_trace_of_its_own(sent: str, start: Any, spans: Spans) -> None:
    said = ask(start("네.", users=ROLES), traceparent=sent)
    assert said.status_code == 200
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", said.headers["traceparent"])


@pytest.mark.parametrize("content", [False, True])
def test_what_was_said_is_traced_on_purpose_only(content: bool, start: Any, till: Any, spans: Spans) -> None:
    pay = till.tool(needs_approval=False)
    live = start([call("pay", n=98765)], "비밀 답", tools=(pay,), users=ROLES, trace_content=content)
    ask(live, "비밀 질문")
    live.wait_for(lambda: any(s.name.startswith("POST") for s in spans()))
    written = json.dumps([[s.name, dict(s.attributes or {})] for s in spans()], ensure_ascii=False)
    assert [word in written for word in ("비밀 질문", "비밀 답", "98765")] == [content] * 3
    assert "kim" not in written


def test_an_answer_that_failed_is_an_error_in_the_trace(start: Any, spans: Spans) -> None:
    from sadari.types import Answer

    live = start(Answer("", error="out of memory"), users=ROLES)
    ask(live)
    live.wait_for(lambda: any(s.name.startswith("POST") for s in spans()))
    (agent,) = [s for s in spans() if s.name.startswith("invoke_agent")]
    assert (agent.status.is_ok, (agent.attributes or {})["error.type"]) == (False, "failed")


# --- steps -------------------------------------------------------------------------------------------------------------


class Heard:
    def __init__(self) -> None:
        self.steps: list[Step] = []

    def begun(self, step: Step) -> None:
        self.steps.append(step)

    def done(self, step: Step) -> None:
        self.steps.append(step)


def test_a_run_that_another_process_began_is_followed_from_where_it_is_taken_up(tmp_path: Path) -> None:
    there, here, heard = Log(tmp_path / "log.sqlite"), Log(tmp_path / "log.sqlite"), Heard()
    run = there.start("kim", "v1", {"user": "kim", "agent": "v1"})
    calls = [{"id": "1.1", "name": "pay", "arguments": {"n": 1}}]
    there.append(run, [Draft("run.asked", {"text": "?"}), Draft("model.answered", {"text": "", "calls": calls})])
    here.watchers.append(Steps(here, [heard]))
    here.append(run, [Draft("call.started", {"id": "1.1"})])
    here.append(run, [Draft("call.succeeded", {"id": "1.1", "text": "됨"}), Draft("run.answered", {"text": "네"})])
    told = [(s.kind, s.name, s.end) for s in heard.steps]
    assert told == [("question", "", ""), ("tool", "pay", "succeeded"), ("question", "", "answered")]
    assert heard.steps[0].began >= there.events(run)[-3].time


def test_a_watcher_that_fails_fails_no_run(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.sqlite")
    log.watchers.append(lambda events: [][1])
    run = log.start("kim", "v1", {})
    assert [e.kind for e in log.append(run, [Draft("run.asked", {"text": "?"})])] == ["run.asked"]


# --- where it goes -----------------------------------------------------------------------------------------------------


def test_without_the_environment_nothing_of_it_is_loaded() -> None:
    program = (
        "import sys, sadari.serve; from sadari.serve.telemetry import from_environment; "
        "print(from_environment('sadari'), [m for m in ('opentelemetry.sdk', 'opentelemetry.exporter') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "None []", done.stderr


def test_what_the_environment_asks_for_and_cannot_have_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="nowhere to go"):
        from_environment("sadari", content=True)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(ConfigError, match="write otlp, console or none"):
        from_environment("sadari")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"sadari\[otel\]"):
        from_environment("sadari")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert from_environment("sadari") is None


def test_a_collector_gets_the_spans_of_a_server(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    got: list[Any] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    live = start("네.", users=ROLES)
    ask(live)
    names = lambda: {s.name for r in got for one in r.resource_spans for scope in one.scope_spans for s in scope.spans}  # noqa: E731
    live.wait_for(lambda: {"invoke_agent sadari", "chat", "POST /v1/chat/completions"} <= names())
    resource = {a.key: a.value.string_value for a in got[0].resource_spans[0].resource.attributes}
    assert (resource["service.name"], resource["service.version"]) == ("sadari", sadari.__version__)
    collector.shutdown()


def test_the_names_of_generative_ai_are_those_of_the_conventions_and_stand_in_one_module() -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    source = Path(sadari.__file__).parent
    written = {path.name: set(re.findall(r'"(gen_ai\.[\w.]+)"', path.read_text())) for path in source.rglob("*.py")}
    assert [name for name, found in written.items() if found] == [Path(telemetry.__file__).name]
    assert len(written["telemetry.py"]) > 8
    assert written["telemetry.py"] - known == set()
