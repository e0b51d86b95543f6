"""What a process of a program may take, and what it gives up before it sees the program."""

import ctypes
import math
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_SIGKILL = 9
_CAPABILITIES = 64
"""More than there are."""
_CAPABILITY_VERSION = 0x20080522
_STACK_BYTES = 8 * 2**20
_THREAD_ADDRESSES = 256 * 2**20
"""Addresses that glibc sets aside for the stack and the malloc arena of a thread, whether or not they are used."""
_MOST_ADDRESSES = 2**46
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one process may take."""

    memory_bytes: int
    """What it may allocate beside PyTorch itself. Models and the program are mapped, and do not count."""
    mapped_bytes: int
    """Addresses for what is mapped."""
    seconds: float
    """Processor time of each of its threads together with others: `seconds` times `threads` in all."""
    threads: int
    """Cores that one operator may use."""


def hide() -> None:
    """Keep other processes of the same user from reading this one's memory and environment."""
    _prctl(_PR_SET_DUMPABLE, 0)


def allow_descriptors() -> None:
    """Let this process open as many files as it may: each larger model in its cache takes a descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that made it ends."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def give_up_privileges() -> None:
    """Drop all capabilities, for this process and all that it may become. It has some only if it runs as root."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails where there is nothing to drop
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _libc.capset(header, nothing)


def limit(bounds: Bounds) -> None:
    """Set this process's limits. They are hard: no process can raise its own again.

    Args:
        bounds: of what is allocated from now on; what PyTorch has taken already is added.
    """
    with suppress(OSError):  # in its last need the kernel ends the program's process, not the predictor's
        Path("/proc/self/oom_score_adj").write_text("1000")
    data, addresses = _taken()
    stacks = (bounds.threads + 1) * _STACK_BYTES
    room = bounds.memory_bytes + bounds.mapped_bytes + (bounds.threads + 1) * _THREAD_ADDRESSES
    seconds = 1 + math.ceil(bounds.seconds * bounds.threads)
    for kind, most in (
        (resource.RLIMIT_DATA, data + bounds.memory_bytes + stacks),
        (resource.RLIMIT_AS, min(addresses + room, _MOST_ADDRESSES)),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_STACK, _STACK_BYTES),
        (resource.RLIMIT_NOFILE, 512),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_FSIZE, 0),  # last: from now on not even the log can be written to, if it is a file
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # Past the first of both the kernel sends SIGXCPU, which says what was too much, past the second SIGKILL.
        resource.setrlimit(kind, (least - 1 if kind == resource.RLIMIT_CPU else least, least))


def _taken() -> tuple[int, int]:
    """Return the bytes of data, and of addresses, that this process has already."""
    fields = [int(field) for field in Path("/proc/self/statm").read_text().split()]
    return fields[5] * resource.getpagesize(), fields[0] * resource.getpagesize()


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")
