"""What the general-purpose rivals share: no foresight, and filling on demand or on arrival as well."""

from collections.abc import Container, Sequence
from typing import ClassVar

from flstore_core.policies.base import Key, Policy, Prefetch, Request, Sizes, Victims, Why

ON_ARRIVAL = "+arrival"
"""Ends the name of a rival that caches new objects as they are ingested."""


class Classic(Policy):
    """A cache in front of an object store: a request's misses are filled; with `on_arrival`, new objects are too."""

    kind: ClassVar[str]
    keeps_because: ClassVar[str]
    """For people: what all cached keys have in common."""
    evicts_because: ClassVar[str]
    """A metric's label."""

    def __init__(self, on_arrival: bool = False) -> None:
        self.name = self.kind + ON_ARRIVAL if on_arrival else self.kind
        self.on_arrival = on_arrival

    def arrived(self, key: Key, size: int) -> bool:
        return self.on_arrival

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        return ()

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        self.touched(request.keys)
        return ()

    def touched(self, keys: Sequence[Key]) -> None:
        """Learn that `keys`, cached or not, were asked for."""

    def admits(self, sizes: Sizes, why: Why) -> Sizes:
        return sizes

    def evict(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        return ((self.let_go(needed, pinned), self.evicts_because),)

    def let_go(self, needed: int, pinned: Container[Key]) -> Sizes:
        """Choose victims as `evict` does, and forget them."""
        raise NotImplementedError

    def inserted(self, sizes: Sizes, why: Why) -> None:
        raise NotImplementedError

    def discarded(self, key: Key) -> None:
        raise NotImplementedError

    def forget(self, job: str) -> None:
        """Nothing is kept beyond the cached keys."""

    def reason(self, key: Key) -> str:
        return self.keeps_because
