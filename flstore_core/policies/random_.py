"""Random replacement (Belady, "A study of replacement algorithms for a virtual-storage computer", 1966)."""

import random
from collections.abc import Container, Sequence

from flstore_core.policies.base import Key, Prefetch, Request, Victim
from flstore_core.policies.classic import Classic


class Random(Classic):
    """Evicts any key; the floor that a policy should not fall below."""

    kind = "random"
    keeps_because = "not drawn for eviction yet"

    def __init__(self, rng: random.Random, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._rng = rng
        self._keys: list[Key] = []
        self._places: dict[Key, int] = {}

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        return ()

    def victim(self, pinned: Container[Key]) -> Victim | None:
        start = self._rng.randrange(len(self._keys)) if self._keys else 0
        for key in self._keys[start:] + self._keys[:start] if pinned else self._keys[start : start + 1]:
            if key not in pinned:
                return key, "random"
        return None

    def inserted(self, key: Key, size: int) -> None:
        self._places[key] = len(self._keys)
        self._keys.append(key)

    def removed(self, key: Key) -> None:
        # The last key takes the place that becomes free, so that no key has to move up.
        last = self._keys.pop()
        place = self._places.pop(key)
        if last != key:
            self._keys[place] = last
            self._places[last] = place
