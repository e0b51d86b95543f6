"""Random replacement (Belady, "A study of replacement algorithms for a virtual-storage computer", 1966)."""

import random
from collections.abc import Container

from flstore_core.policies.base import Cause, Key, Sizes
from flstore_core.policies.classic.base import Classic


class Random(Classic):
    """Evicts any key; the floor that a policy should not fall below."""

    base_name = "random"
    kept_because = "not drawn for eviction so far"
    evicted_because = "random"

    def __init__(self, rng: random.Random, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._rng = rng
        self._keys: list[Key] = []
        self._places: dict[Key, int] = {}
        self._sizes: dict[Key, int] = {}

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        gone: dict[Key, int] = {}
        while needed > 0 and (key := self._draw(pinned)) is not None:
            gone[key] = self._sizes[key]
            needed -= gone[key]
            self.discarded(key)
        return gone

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        self._sizes.update(sizes)
        for key in sizes:
            self._places[key] = len(self._keys)
            self._keys.append(key)

    def discarded(self, key: Key) -> None:
        # The last key takes the place that becomes free, so that no key has to move up.
        del self._sizes[key]
        last = self._keys.pop()
        place = self._places.pop(key)
        if last != key:
            self._keys[place] = last
            self._places[last] = place

    def _draw(self, pinned: Container[Key]) -> Key | None:
        start = self._rng.randrange(len(self._keys)) if self._keys else 0
        for key in self._keys[start:] + self._keys[:start] if pinned else self._keys[start : start + 1]:
            if key not in pinned:
                return key
        return None
