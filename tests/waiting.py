"""Waiting on a condition with a deadline."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 20.0
_LOOK_S = 0.01


def eventually(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Return once `condition` holds; fail when it still does not after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(_LOOK_S)


async def soon(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """As `eventually`, letting the event loop run meanwhile."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(_LOOK_S)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end between opening and reading
        return False


def children_of(pid: int) -> list[int]:
    """Return all living descendants of a process."""
    direct = [int(name) for name in os.listdir("/proc") if name.isdecimal() and _parent(int(name)) == pid]
    return direct + [deeper for child in direct for deeper in children_of(child)]


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
