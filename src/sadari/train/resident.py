"""Memory that this process holds, the most that it held, and what is left for it."""

import ctypes
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import torch

_PROC = Path("/proc/self")
_GROUPS = Path("/sys/fs/cgroup")
_LOOK_S = 0.002


class Peak:
    """Within it, the most bytes that were held: `Peak(device)`, then `held` before and `most` during.

    On CUDA both are of torch's allocator. On a CPU they are of the whole process, resident: the kernel's high-water mark, which is
    reset on entry; where that is not allowed a thread looks every two milliseconds. Memory that the C library keeps though it was
    freed is given back on entry, so that it is not taken for memory in use.

    Not covered: systems without `/proc`, where the mark is that of the life of the process and `most` may be too high.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._watch: _Watch | None = None
        self.held = self.most = 0

    def __enter__(self) -> "Peak":
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self.held = torch.cuda.memory_allocated(self._device)
            return self
        give_back()
        self.held = resident_bytes()
        if not _reset_mark():
            self._watch = _Watch()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            self.most = torch.cuda.max_memory_allocated(self._device)
        elif self._watch is not None:
            self.most = self._watch.stop()
        else:
            self.most = max(self.held, _status("VmHWM"))

    @property
    def growth(self) -> int:
        """Bytes of the peak above what was held on entry."""
        return max(0, self.most - self.held)


class _Watch:
    """Looks at the resident memory again and again, in a thread."""

    def __init__(self) -> None:
        self._most, self._is_over = resident_bytes(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._is_over.wait(_LOOK_S):
            self._most = max(self._most, resident_bytes())

    def stop(self) -> int:
        self._is_over.set()
        self._thread.join()
        return max(self._most, resident_bytes())


def resident_bytes() -> int:
    """Bytes that this process holds in memory."""
    try:
        return int((_PROC / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(most) if sys.platform == "darwin" else 1024 * most


def give_back() -> None:
    """Return what the C library keeps of freed memory to the system, where that can be asked for."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


def held_bytes(device: torch.device) -> int:
    """Bytes that are held where the model is: by torch's allocator on CUDA, by this process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return resident_bytes()


def available_bytes(device: torch.device) -> int:
    """Bytes that may be held besides those that are: what the machine, and the container if there is one, still gives."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text(Path("/proc/meminfo")))
    free = 1024 * int(found[1]) if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") - resident_bytes()
    return max(0, min([free, *_rooms_of_containers()]))


def _rooms_of_containers() -> Iterator[int]:
    """What each control group of this process still lets it take; nothing where none is limited."""
    for line in _text(_PROC / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        limit, use = ("memory.max", "memory.current") if not controllers else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        top = _GROUPS / controllers
        # Inside a container its own group is often mounted at the top.
        for folder in (top / path.lstrip("/"), top):
            words = _text(folder / limit).strip(), _text(folder / use).strip()
            if all(word.isdigit() for word in words):
                # A cache of files is counted as used, but is given up for memory.
                cached = re.search(r"^(?:total_)?inactive_file (\d+)", _text(folder / "memory.stat"), re.MULTILINE)
                yield int(words[0]) - int(words[1]) + (int(cached[1]) if cached else 0)
                break


def _reset_mark() -> bool:
    """Set the kernel's high-water mark to what is held now; true where that is allowed, and worked."""
    try:
        (_PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return _status("VmHWM") <= resident_bytes() + 2**23


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", _text(_PROC / "status"))
    return 1024 * int(found[1]) if found else resident_bytes()


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
