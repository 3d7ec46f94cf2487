"""The process that reads files nobody trusts; `isolation` starts it.

It takes one request a line from standard input and reads each file in a child that it forks for it, so that a child that crashes,
hangs or swells is gone with its file, and nothing of one file is left for the next. Replies are JSON after their length in 8 bytes.

Covered: time, address space (Linux), size of the reply, processor time, files written, and, from Python, network and new processes.
Not covered: native code that a parser was tricked into running; run the whole program in a container where that matters.
"""

import base64
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sadari.retrieve.load.limits import Limits, megabytes
from sadari.retrieve.load.parse import open_inner, parse, warm
from sadari.retrieve.load.parsed import UnreadableError

_SPARE_BYTES = 32 << 20  # of a reply beside its text
_FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "os.remove", "os.rename")


def main() -> None:
    """Answer requests until standard input ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not look like a reply
    for line in sys.stdin.buffer:
        request = json.loads(line)
        for name in (request["name"], *request["chain"]):
            warm(name)
        reply = _read_in_child(request, Limits(**request["limits"]))
        replies.write(struct.pack(">Q", len(reply)) + reply)
        replies.flush()


def _read_in_child(request: dict[str, Any], limits: Limits) -> bytes:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _confine(limits)
            _send(writing, _answer(request, limits))
        finally:
            os._exit(0)
    os.close(writing)
    try:
        reply, fault = _collect(reading, limits)
    finally:
        os.close(reading)
        if fault:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    if not fault and os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        fault = f"crashed its reader ({name}), or needs more than {megabytes(limits.memory_bytes)} of memory (`memory_bytes`)."
    if not fault and not reply:
        fault = "ended its reader without a word. Get it again, or delete it."
    return _fault(fault) if fault else reply


def _collect(reading: int, limits: Limits) -> tuple[bytes, str]:
    """All that the child writes, or why it has to stop."""
    deadline = time.monotonic() + limits.seconds
    most = 4 * limits.text_chars + _SPARE_BYTES
    pieces: list[bytes] = []
    size = 0
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return b"", f"took longer than {limits.seconds:g} seconds (`seconds`). Split it, or raise the limit."
        piece = os.read(reading, 1 << 20)
        if not piece:
            return b"".join(pieces), ""
        pieces.append(piece)
        size += len(piece)
        if size > most:
            return b"", f"holds more than {megabytes(most)} of text (`text_chars`). Split it, or raise the limit."


def _send(writing: int, reply: bytes) -> None:
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(reply)


def _answer(request: dict[str, Any], limits: Limits) -> bytes:
    try:
        data, name = open_inner(_read(request["path"], limits), request["name"], tuple(request["chain"]), limits)
        if request["page"] is not None:
            from sadari.retrieve.load.pdf import picture_of_page

            picture = base64.b64encode(picture_of_page(data, request["page"])).decode("ascii")
            return json.dumps({"picture": picture}).encode()
        return json.dumps({"parsed": asdict(parse(data, name, limits))}, ensure_ascii=False).encode("utf-8")
    except UnreadableError as error:
        return json.dumps({"fault": error.reason, "where": error.where}).encode()
    except MemoryError:
        return _fault(f"needs more than {megabytes(limits.memory_bytes)} of memory (`memory_bytes`). Split it.")
    except OSError as error:
        return _fault(f"cannot be read ({error.strerror or error}). Check its permissions.")
    except Exception as error:  # a parser met what its authors did not think of: that is this file's fault alone
        why = " ".join(str(error).split())[:200]
        return _fault(f"cannot be read ({type(error).__name__}: {why}). Save it again in its program, or delete it.")


def _read(path: str, limits: Limits) -> bytes:
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(min(size, limits.file_bytes) + 1)  # as much is set aside at once
    if len(data) > limits.file_bytes:
        raise UnreadableError(f"is larger than {megabytes(limits.file_bytes)} (`file_bytes`). Split it, or raise the limit.")
    return data


def _fault(reason: str) -> bytes:
    return json.dumps({"fault": reason, "where": ""}).encode()


def _confine(limits: Limits) -> None:
    """Bounds on this very process, for good."""
    seconds = int(limits.seconds) + 2
    bounds = {resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    with suppress(OSError):  # only Linux tells, and only there the bound holds
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        bounds[resource.RLIMIT_AS] = pages * os.sysconf("SC_PAGE_SIZE") + limits.memory_bytes
    for what, most in bounds.items():
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))
    sys.addaudithook(_refuse)


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"a document reader may not use {event}")
