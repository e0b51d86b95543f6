"""What a forked process leaves to its parent: sockets, and locks that a thread of the parent may hold.

`fork` copies open sockets and locks, but only the thread that called it. Example: a client has asked once and keeps its
connection, then four workers are forked. All five write to one socket and read each other's answers, and an upload can
be stored under another one's name. The same happened to users of urllib3 (#850) and requests (#4323).

So whoever keeps such things says how to begin anew, and does so in each forked process before anything else runs there.
What is left behind must be neither used nor closed: its parent goes on with it.
"""

import os
from typing import Any, Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Keeps sockets or locks."""

    def begin_anew(self) -> None:
        """Replace them: this process is a fork of the one that made them."""


_kept: WeakSet[Forkable] = WeakSet()
_left_behind: list[Any] = []


def keep(owner: Forkable) -> None:
    """Have `owner.begin_anew` called in every process that is forked from this one."""
    _kept.add(owner)


def leave(belonging: Any) -> None:
    """Keep something of the parent's for ever: what collects it might close it, or wait for a lock in it."""
    _left_behind.append(belonging)


def _begin_anew() -> None:
    for owner in list(_kept):
        owner.begin_anew()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_begin_anew)
