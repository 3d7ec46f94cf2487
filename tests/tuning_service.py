"""A local double of a service that tunes: OpenAI's files and fine-tuning jobs over HTTP, with faults on demand."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Seen:
    """One request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class TuningService:
    """Holds files and jobs.

    Args:
        faults: For "METHOD path" (a regular expression), what happens to the next such requests, one after the other: (status,
            body) is answered and nothing done; "drop" does it and closes the connection without an answer; None is no fault.
        stages: What a job is told to be, look after look; the last stays.
    """

    faults: dict[str, list[Any]] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"status": "validating_files"},
            {"status": "running"},
            {"status": "succeeded", "fine_tuned_model": "ft:tiny:me::1", "trained_tokens": 1500},
        ]
    )
    events: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    prefix: str = "/v1"
    files_path: str = "/files"
    jobs_path: str = "/fine_tuning/jobs"
    url: str = ""

    def count(self, method: str, path: str) -> int:
        """How often such a request arrived."""
        return sum(s.method == method and re.fullmatch(path, s.path) is not None for s in self.seen)

    def answer(self, request: Seen) -> Any:
        fault = self._fault(request)
        if isinstance(fault, tuple):
            return fault
        path = request.path.removeprefix(self.prefix)
        if path.startswith(self.files_path):
            answer = self._file(request, path.removeprefix(self.files_path).strip("/"))
        else:
            answer = self._job(request, path.removeprefix(self.jobs_path).strip("/"))
        return None if fault == "drop" else (200, answer)

    def _fault(self, request: Seen) -> Any:
        for pattern, faults in self.faults.items():
            if re.fullmatch(pattern, f"{request.method} {request.path.removeprefix(self.prefix)}") and faults:
                return faults.pop(0)
        return None

    def _file(self, request: Seen, file: str) -> Any:
        if request.method == "GET":
            listed = [{"id": k, "filename": name, "status": "processed"} for k, (name, _) in self.files.items()]
            return _page(listed[::-1], request)
        if request.method == "DELETE":
            self.files.pop(file, None)
            self.deleted.append(file)
            return {"id": file, "deleted": True}
        head, _, rest = request.body.partition(b'filename="')
        assert b"fine-tune" in head, "the purpose comes with the file"
        name = rest.partition(b'"')[0].decode()
        content = rest.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
        file = f"file-{len(self.files) + len(self.deleted) + 1}"
        self.files[file] = (name, content)
        return {"id": file, "filename": name, "status": "uploaded", "purpose": "fine-tune"}

    def _job(self, request: Seen, path: str) -> Any:
        job, _, verb = path.partition("/")
        if verb == "events":
            return _page(self.events[::-1], request)
        if verb == "cancel":
            if self.jobs[job]["status"] not in ("succeeded", "failed"):
                self.jobs[job]["status"] = "cancelled"
            return self.jobs[job]
        if request.method == "POST":
            job = f"ftjob-{len(self.jobs) + 1}"
            self.jobs[job] = request.json | {"id": job, "status": "queued", "fine_tuned_model": None, "trained_tokens": None}
            return self.jobs[job]
        if job:
            if self.jobs[job]["status"] != "cancelled":
                self.jobs[job] |= self.stages.pop(0) if len(self.stages) > 1 else self.stages[0]
            return self.jobs[job]
        return _page(list(self.jobs.values())[::-1], request)


def _page(items: list[dict[str, Any]], request: Seen) -> dict[str, Any]:
    after, limit = request.query.get("after"), int(request.query.get("limit", 20))
    ids = [item["id"] for item in items]
    start = ids.index(after) + 1 if after else 0
    return {"object": "list", "data": items[start : start + limit], "has_more": start + limit < len(items)}


@contextmanager
def running(service: TuningService) -> Iterator[TuningService]:
    """The service at `service.url`, on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self._chunk, b""))
            request = Seen(self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers), body)
            service.seen.append(request)
            answer = service.answer(request)
            if answer is None:
                self.close_connection = True
                return
            status, data = answer
            headers = {}
            if isinstance(data, dict) and "headers" in data:
                headers, data = data["headers"], data["body"]
            raw = data.encode() if isinstance(data, str) else json.dumps(data).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        def _chunk(self) -> bytes:
            data = self.rfile.read(int(self.rfile.readline(), 16))
            self.rfile.readline()
            return data

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}{service.prefix}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
