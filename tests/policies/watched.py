"""Holds a policy to its contract while something else drives it."""

from collections.abc import Container

from flstore_core.policies import Cause, Key, Policy, Prefetch, Request, Victims
from flstore_core.policies.base import Sizes


class Watched(Policy):
    """Passes everything on to a policy, and checks what it answers against its own account of what is cached."""

    def __init__(self, inner: Policy, budget: int) -> None:
        self.name = inner.name
        self._inner = inner
        self._budget = budget
        self.cached: dict[Key, int] = {}

    def arrived(self, key: Key, size: int) -> bool:
        return self._inner.arrived(key, size)

    def committed(self, job: str, round: int, slice: int) -> list[Prefetch]:  # noqa: A002
        return list(self._inner.committed(job, round, slice))

    def requested(self, request: Request, missing: tuple[Key, ...]) -> list[Prefetch]:  # type: ignore[override]
        assert set(missing) == set(request.keys) - self.cached.keys()
        return list(self._inner.requested(request, missing))

    def admits(self, sizes: Sizes, cause: Cause) -> Sizes:
        assert self.cached.keys().isdisjoint(sizes)
        admitted = self._inner.admits(sizes, cause)
        assert admitted.items() <= sizes.items()
        return admitted

    def evict(self, needed: int, pinned: Container[Key]) -> list[Victims]:
        assert needed > 0
        evicted = list(self._inner.evict(needed, pinned))
        for victims, reason in evicted:
            assert reason
            for key in victims:
                assert key not in pinned
                assert victims[key] == self.cached.pop(key)
        return evicted

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        assert self.cached.keys().isdisjoint(sizes)
        self.cached.update(sizes)
        assert sum(self.cached.values()) <= self._budget
        self._inner.inserted(sizes, cause)

    def discarded(self, key: Key) -> None:
        del self.cached[key]
        self._inner.discarded(key)

    def forget(self, job: str) -> None:
        assert not [key for key in self.cached if key.job == job]
        self._inner.forget(job)

    def reason(self, key: Key) -> str:
        assert key in self.cached
        return self._inner.reason(key)
