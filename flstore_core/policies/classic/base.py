"""What the general-purpose policies share: no foresight, and two ways of being filled."""

from collections.abc import Container, Sequence
from typing import ClassVar

from flstore_core.policies.base import Cause, Key, Policy, Prefetch, Request, Sizes, Victims

ON_ARRIVAL = "+arrival"
"""Ends the name of a policy that caches new objects as they are ingested."""


class Classic(Policy):
    """A cache in front of an object store: the misses of a request fill it; with `on_arrival`, new objects do too.

    A subclass names itself in the three class variables and implements `choose_victims`, `inserted` and `discarded`,
    and `touched` where it matters what is requested.
    """

    base_name: ClassVar[str]
    """Name of the form that is filled by misses alone."""
    kept_because: ClassVar[str]
    """For people: why any cached key is kept."""
    evicted_because: ClassVar[str]
    """A metric's label."""

    def __init__(self, on_arrival: bool = False) -> None:
        self.name = self.base_name + ON_ARRIVAL if on_arrival else self.base_name
        self.on_arrival = on_arrival

    def arrived(self, key: Key, size: int) -> bool:
        return self.on_arrival

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        return ()

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        self.touched(request.keys)
        return ()

    def touched(self, keys: Sequence[Key]) -> None:
        """Learn that a request reads `keys`, in order. It is called before those that are missing are cached.

        So the first use of a key comes with `inserted`, not here; a policy that counts uses skips keys unknown to it.
        """

    def admits(self, sizes: Sizes, cause: Cause) -> Sizes:
        return sizes

    def evict(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        return ((self.choose_victims(needed, pinned), self.evicted_because),)

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        """Return objects to evict as `evict` does, and forget them."""
        raise NotImplementedError

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        raise NotImplementedError

    def discarded(self, key: Key) -> None:
        raise NotImplementedError

    def forget(self, job: str) -> None:
        """Nothing is known beyond the cached keys; a policy that remembers others overrides this."""

    def reason(self, key: Key) -> str:
        return self.kept_because
