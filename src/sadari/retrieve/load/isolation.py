"""Asks the worker to read files, and starts another one should it die."""

import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from sadari.retrieve.load.limits import Limits

_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
"""Of the environment; a parser is shown no key."""
_GRACE_S = 15.0
_START = """
import sys, types
for name, folder in zip(("sadari.retrieve", "sadari.retrieve.load"), sys.argv[1:]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from sadari.retrieve.load.worker import main
main()
"""
"""Stand-ins for the two packages: what they import for others (NumPy, SciPy, a tokenizer) takes seconds; no parser needs it."""


class Worker:
    """A process that reads files for this one; started when first asked, ended with the `with` block."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def ask(self, path: Path, name: str, chain: tuple[str, ...] = (), page: int | None = None) -> Mapping[str, Any]:
        """What the worker says of a file: `parsed`, or `picture` of a page, or `fault`.

        Args:
            path: The file on disk.
            name: What it is called: the kind may depend on its suffix.
            chain: Names of the archive member or attachment in it that is meant, from outside to inside.
            page: Instead of the text, a picture of this page, counted from 0.
        """
        process = self._started()
        request = {"path": str(path), "name": name, "chain": chain, "page": page, "limits": asdict(self._limits)}
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            deadline = time.monotonic() + self._limits.seconds + _GRACE_S
            size = struct.unpack(">Q", self._take(process, 8, deadline))[0]
            reply: Mapping[str, Any] = json.loads(self._take(process, size, deadline))
            return reply
        except (OSError, ValueError) as error:
            self._stop()
            return {"fault": f"ended the reading process ({error}). Get the file again, or delete it.", "where": ""}

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            here = Path(__file__).parent
            # -P: a `docx.py` in the folder of documents must not be taken for the library
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(here.parent), str(here)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | {"OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process

    def _take(self, process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        assert process.stdout is not None
        data = bytearray()
        while len(data) < size:
            if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("no answer in time")
            piece = os.read(process.stdout.fileno(), min(size - len(data), 1 << 20))
            if not piece:
                raise OSError("it died")
            data += piece
        return bytes(data)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # what was not sent yet can no longer be
                    if pipe is not None:
                        pipe.close()
