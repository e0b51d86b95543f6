"""What this process's children, and theirs, take of the machine's memory."""

import os
from collections import defaultdict
from pathlib import Path


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
