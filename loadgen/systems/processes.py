"""The children of this process: none outlives it, and their memory is measured."""

import os
import shutil
from collections import defaultdict
from pathlib import Path

_SETPRIV = shutil.which("setpriv")
ENDS_WITH_US = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV else ()
"""Prefix of a command: Linux kills the process when the thread that started it ends, for whatever reason."""


def descendants_rss() -> int:
    """Return the resident bytes of all descendants of this process."""
    children: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                pages = int((folder / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue  # The process has just ended.
            children[parent].append((int(folder.name), pages))
    resident, todo = 0, [os.getpid()]
    while todo:
        for pid, pages in children[todo.pop()]:
            resident += pages
            todo.append(pid)
    return resident * os.sysconf("SC_PAGE_SIZE")
