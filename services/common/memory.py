"""The memory limit of this process's control group, and whether a cache leaves enough of it."""

from collections.abc import Iterator
from pathlib import Path

from flstore_core.errors import InvalidParameters
from flstore_core.units import format_size

CACHE_SHARE = 0.6
"""Largest share of a pod's memory that its cache may take. A pod that runs out of memory is killed: callers get 502."""

_UNLIMITED = 2**60
"""Version 1 of control groups has no word for "no limit" and writes a number larger than this."""
_FILES = {"": "sys/fs/cgroup/{}/memory.max", "memory": "sys/fs/cgroup/memory/{}/memory.limit_in_bytes"}
"""File with a group's limit, by the controllers that its line of /proc/self/cgroup names. Version 2 names none."""


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the smallest limit in bytes of this process's control group and its parents; None if none is set."""
    limits = (_read(path) for path in _limit_files(root))
    return min((limit for limit in limits if limit is not None), default=None)


def check_cache(cache_bytes: int, limit: int | None, variable: str = "FLSTORE_CACHE_BYTES") -> None:
    """Raise `InvalidParameters` when a cache of that size leaves too little of `limit` for anything else."""
    if limit is not None and cache_bytes > (most := int(CACHE_SHARE * limit)):
        raise InvalidParameters(
            f"{variable} is {format_size(cache_bytes)}, over 60 % of the {format_size(limit)} of memory that "
            f"this process' control group allows; use at most {most}, or raise the limit"
        )


def _limit_files(root: Path) -> Iterator[Path]:
    """Yield the files that may hold a limit.

    Inside a container, the group's path may be the path on the host, while its files are at the top. So the files of
    the group and of all its parents are listed, the top included.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if pattern := _FILES.get(controllers):
            group = Path(path.strip("/"))
            for each in (group, *group.parents):
                yield root / pattern.format(each)


def _read(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) < _UNLIMITED else None
