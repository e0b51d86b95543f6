"""What the general-purpose rivals share: no foresight, and filling on demand or on arrival as well."""

from collections.abc import Container, Sequence
from typing import ClassVar

from flstore_core.policies.base import Key, Policy, Prefetch, Request, Victim, Why

ON_ARRIVAL = "+arrival"
"""Ends the name of a rival that caches new objects as they are ingested."""


class Classic(Policy):
    """A cache in front of an object store: a request's misses are filled; with `on_arrival`, new objects are too."""

    kind: ClassVar[str]
    keeps_because: ClassVar[str]
    """For people: what all cached keys have in common."""

    def __init__(self, on_arrival: bool = False) -> None:
        self.name = self.kind + ON_ARRIVAL if on_arrival else self.kind
        self.on_arrival = on_arrival

    def arrived(self, key: Key, size: int) -> bool:
        return self.on_arrival

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        return ()

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        for key in request.keys:
            self.touched(key)
        return ()

    def touched(self, key: Key) -> None:
        """Learn that `key`, cached or not, was asked for."""
        raise NotImplementedError

    def admits(self, key: Key, size: int, why: Why) -> bool:
        return True

    def victim(self, pinned: Container[Key]) -> Victim | None:
        raise NotImplementedError

    def inserted(self, key: Key, size: int) -> None:
        raise NotImplementedError

    def removed(self, key: Key) -> None:
        raise NotImplementedError

    def forget(self, job: str) -> None:
        """Nothing is kept beyond the cached keys."""

    def reason(self, key: Key) -> str:
        return self.keeps_because
