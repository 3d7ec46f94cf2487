"""The filter of system calls that code in `bubblewrap` runs under, as the kernel reads it (classic BPF).

Covered: no process is made (threads are), no socket but pairs, no memory or messages that outlive what is limited, and none of the
calls by which sandboxes were left before: mounts, namespaces, tracing, keys, BPF, io_uring, user faults, kernel modules.

Not covered: it lists what is refused; all other calls are let through, behind the namespaces and limits of the sandbox.

Source:
    Linux kernel documentation, userspace-api/seccomp_filter; numbers of the calls: arch/x86/entry/syscalls/syscall_64.tbl and
    include/uapi/asm-generic/unistd.h.
"""

import errno
import platform
import struct

from sadari.errors import ConfigError

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_REFUSED: dict[str, tuple[int | None, int | None]] = {  # x86_64, aarch64
    "fork": (57, None), "vfork": (58, None), "execveat": (322, 281), "socket": (41, 198), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272), "shmget": (29, 194), "semget": (64, 190),
    "msgget": (68, 186), "mq_open": (240, 180), "memfd_create": (319, 279), "memfd_secret": (447, 447), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268), "unshare": (272, 97),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "mount_setattr": (442, 442), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fanotify_init": (300, 262),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "reboot": (169, 142), "syslog": (103, 116), "personality": (135, 92), "acct": (163, 89),
}  # fmt: skip
_CLONE = (56, 220)
_CLONE3 = 435
_CLONE_THREAD = 0x10000
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in `struct seccomp_data`
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def seccomp_filter() -> bytes:
    """The filter for this machine, for `bwrap --seccomp`.

    Raises:
        ConfigError: On a processor whose system calls are not listed here.
    """
    if platform.machine() not in _ARCHITECTURES:
        raise ConfigError(f"tools: code: bubblewrap knows x86_64 and aarch64, not {platform.machine()}. Use `code: monty`.")
    column, architecture = _ARCHITECTURES[platform.machine()]
    program = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    if column == 0:
        program += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            program += _answer(number, errno.EPERM)
    program += _answer(_CLONE3, errno.ENOSYS)  # its flags lie in memory, where no filter sees them; libraries then use clone
    program += [(_EQUAL, 0, 3, _CLONE[column]), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_ANY_BIT, 1, 0, _CLONE_THREAD)]
    program += [(_RETURN, 0, 0, _ERROR | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _answer(number: int, error: int) -> list[tuple[int, int, int, int]]:
    return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | error)]
