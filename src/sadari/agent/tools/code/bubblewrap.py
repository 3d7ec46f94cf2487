"""The second sandbox: all of Python, with numpy and pandas, in a `bwrap` child that has nothing but itself.

Covered:
- Own namespaces for users, processes, network, host name and messages; no /proc, no /sys, no capability, no right of this user;
  the interpreter and its packages read-only, an empty work folder in memory with a quota, an empty environment.
- `seccomp`: one process, no sockets (see there).
- Limits of processor time, memory, file size and open files, set before the code is read; the whole is killed when its time is up,
  when it prints too much, and when this process ends.
- It is tried when the tool is opened. Where it does not work, or does not refuse what it must, that is an error.

Not covered:
- Errors of the kernel, and channels of time. There are no control groups: memory that the kernel keeps for many empty files is
  limited by time alone.
- The text of the installed Python packages can be read.
"""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

from sadari.agent.tools.code.sandbox import Failure, Limits, Ran
from sadari.agent.tools.code.seccomp import seccomp_filter
from sadari.errors import ConfigError

_CHILD = "/child.py"
_PACKAGES = "/packages"
_MOST_REPORTED = 10_000
_NOT_USABLE = (
    "tools: code: bubblewrap does not work here: {why}. Install it (apt-get install bubblewrap) and let it make user namespaces, "
    "or write `code: monty`."
)
_PROBE = """
import os, socket
def is_refused(act):
    try:
        act()
    except OSError:
        return True
    return False
print(is_refused(socket.socket) and is_refused(os.fork) and is_refused(lambda: open("/probe", "w")))
"""


@dataclass(frozen=True, slots=True)
class BubblewrapSandbox:
    """Code in a child of `bwrap`. Made by `open_bubblewrap`, which tries it."""

    limits: Limits
    walls: tuple[str, ...]
    interpreter: tuple[str, ...]
    seccomp: bytes

    def run(self, code: str, now: datetime) -> Ran:
        """All of it lives in one child, which is gone when this returns."""
        with _memory_file(code.encode("utf-8", "replace")) as source, _memory_file(self.seccomp) as seccomp:
            given = ("--setenv", "TZ", _posix_zone(now), "--seccomp", str(seccomp.fileno()), "--")
            try:
                child = subprocess.Popen(
                    [*self.walls, *given, *self.interpreter],
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=[seccomp.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                raise ConfigError(_NOT_USABLE.format(why=error.strerror)) from error
        try:
            printed, report, stopped = _collect(child, self.limits)
        finally:
            _end(child)
        text = printed.decode("utf-8", "replace")
        if stopped is None and len(text) > self.limits.output:
            stopped = Failure("output")
        return Ran(text, stopped or _failure(child.returncode, report))


def open_bubblewrap(limits: Limits) -> BubblewrapSandbox:
    """The sandbox, after it has run a few lines and refused a socket, a process and a file outside its work folder.

    Raises:
        ConfigError: If it is not there, or lets through what it must not.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise ConfigError(_NOT_USABLE.format(why="there is no program bwrap"))
    sandbox = BubblewrapSandbox(limits, (program, *_walls(limits)), tuple(_interpreter(limits)), seccomp_filter())
    tried = sandbox.run(_PROBE, datetime.now().astimezone())
    if tried.printed.strip() != "True":
        raise ConfigError(
            _NOT_USABLE.format(why=tried.failure.message if tried.failure else f"its probe printed {tried.printed[:200]!r}")
        )
    return sandbox


def _walls(limits: Limits) -> list[str]:
    walls = ["--unshare-user", "--unshare-all", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    walls += ["--die-with-parent", "--new-session", "--clearenv"]
    walls += ["--hostname", "sandbox", "--setenv", "HOME", "/work", "--setenv", "LANG", "C.UTF-8"]
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        walls += ["--setenv", variable, "1"]
    for folder in ("/usr/lib", "/usr/lib64", "/lib", "/lib64"):
        if Path(folder).is_symlink():
            walls += ["--symlink", os.readlink(folder), folder]
        elif Path(folder).is_dir():
            walls += ["--ro-bind", folder, folder]
    walls += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for path in (str(Path(sys.base_prefix, "lib")), os.path.realpath(sys.executable)):
        walls += ["--ro-bind", path, path]
    walls += ["--ro-bind", sysconfig.get_path("purelib"), _PACKAGES, "--ro-bind", str(Path(__file__).with_name("child.py")), _CHILD]
    for device in ("/dev/null", "/dev/urandom"):
        walls += ["--dev-bind", device, device]
    return [*walls, "--size", str(limits.disk), "--tmpfs", "/work", "--remount-ro", "/", "--chdir", "/work"]


def _interpreter(limits: Limits) -> list[str]:
    python = [os.path.realpath(sys.executable), "-I", "-S", "-B", "-X", "utf8", _CHILD]
    return [*python, str(int(limits.seconds) + 1), str(limits.memory), str(limits.disk), _PACKAGES]


def _memory_file(data: bytes) -> Any:
    file = open(os.memfd_create("sadari"), "w+b", buffering=0)  # noqa: SIM115  (closed by the caller's `with`)
    file.write(data)
    file.seek(0)
    return file


def _posix_zone(now: datetime) -> str:
    """Offsets west of Greenwich are positive there: +09:00 is "<+0900>-09:00"."""
    offset = f"{now:%z}" or "+0000"
    return f"<{offset[:5]}>{'-' if offset[0] == '+' else '+'}{offset[1:3]}:{offset[3:5]}"


def _collect(child: "subprocess.Popen[bytes]", limits: Limits) -> tuple[bytes, bytes, Failure | None]:
    """What the child writes to both pipes until it ends, its time is up, or it has written too much."""
    assert child.stdout is not None
    assert child.stderr is not None
    until = monotonic() + limits.seconds
    got = {child.stdout: bytearray(), child.stderr: bytearray()}
    most = {child.stdout: 4 * limits.output, child.stderr: _MOST_REPORTED}
    with selectors.DefaultSelector() as selector:
        for pipe in got:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            if (left := until - monotonic()) <= 0:
                return bytes(got[child.stdout]), b"", Failure("time")
            for key, _ in selector.select(left):
                pipe = child.stdout if key.fileobj is child.stdout else child.stderr
                data = os.read(pipe.fileno(), 65_536)
                got[pipe] += data
                if not data:
                    selector.unregister(pipe)
                if len(got[pipe]) > most[pipe]:
                    return bytes(got[child.stdout][: most[child.stdout]]), b"", Failure("output")
    try:
        child.wait(max(0.1, until - monotonic()))  # both pipes closed, and still running
    except subprocess.TimeoutExpired:
        return bytes(got[child.stdout]), b"", Failure("time")
    return bytes(got[child.stdout]), bytes(got[child.stderr]), None


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill what is left: with `bwrap` its child dies, which is the first process of its namespace, and so all others."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdout, child.stderr):
        assert pipe is not None
        pipe.close()


def _failure(status: int, report: bytes) -> Failure | None:
    if status == 0:
        return None
    try:
        told = json.loads(report)
        kind, message, line = str(told["kind"])[:100], str(told["message"]), int(told["line"])
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):  # the code may have written there itself
        if status in (128 + signal.SIGXCPU, 128 + signal.SIGKILL):  # at its limit of processor time
            return Failure("time")
        return Failure("died", message=report.decode("utf-8", "replace")[:500] or f"exit status {status}")
    return Failure("memory" if kind == "MemoryError" else "error", kind, message, line)
