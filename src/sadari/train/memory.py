"""Memory of the process while it trains: kept once it was had, and told apart when it runs out."""

import ctypes
import sys
from functools import cache

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT = 2**31 - 1  # the largest that mallopt takes


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep what large tensors free, for the next ones; true where it could be told.

    By default glibc gives every freed tensor of more than 32 MiB back to the kernel and has the next one filled with zeros page by
    page: a fifth of a training step on a CPU.
    """
    if not sys.platform.startswith("linux") or torch.cuda.is_available():
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(_M_MMAP_THRESHOLD, _KEPT) and libc.mallopt(_M_TRIM_THRESHOLD, _KEPT))
    except (OSError, AttributeError):  # another C library
        return False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; the allocator of a CPU says so by a plain RuntimeError, in the words of the system."""
    told = ("can't allocate memory", "not enough memory")  # Linux and macOS, Windows
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(words in str(error) for words in told)
