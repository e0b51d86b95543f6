"""This process's children: that none outlives it, and what they take of the machine's memory."""

import os
import shutil
from collections import defaultdict
from pathlib import Path

_SETPRIV = shutil.which("setpriv")
ENDS_WITH_US = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV else ()
"""Before a command: has Linux end it when the thread that starts it is gone, however that came."""


def descendants_rss() -> int:
    """Return the bytes resident in all processes that descend from this one."""
    children: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                pages = int((folder / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue  # It has just ended.
            children[parent].append((int(folder.name), pages))
    found, todo = 0, [os.getpid()]
    while todo:
        for pid, pages in children[todo.pop()]:
            found += pages
            todo.append(pid)
    return found * os.sysconf("SC_PAGE_SIZE")
