"""Random replacement (Belady, "A study of replacement algorithms for a virtual-storage computer", 1966)."""

import random
from collections.abc import Container

from flstore_core.policies.base import Cause, Key, Sizes
from flstore_core.policies.classic.base import Classic


class Random(Classic):
    """Evicts a key drawn at random; no other policy should do worse."""

    base_name = "random"
    kept_because = "not drawn for eviction so far"
    evicted_because = "random"

    def __init__(self, rng: random.Random, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._rng = rng
        self._keys: list[Key] = []
        """In any order, for drawing in constant time."""
        self._indices: dict[Key, int] = {}
        self._sizes: dict[Key, int] = {}

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        victims: dict[Key, int] = {}
        while needed > 0 and (key := self._draw(pinned)) is not None:
            victims[key] = self._sizes[key]
            needed -= victims[key]
            self.discarded(key)
        return victims

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        self._sizes.update(sizes)
        for key in sizes:
            self._indices[key] = len(self._keys)
            self._keys.append(key)

    def discarded(self, key: Key) -> None:
        # The last key moves to the freed index, so that no other has to move.
        del self._sizes[key]
        last = self._keys.pop()
        index = self._indices.pop(key)
        if last != key:
            self._keys[index] = last
            self._indices[last] = index

    def _draw(self, pinned: Container[Key]) -> Key | None:
        """Return the first key from a random index on that is not pinned, or None."""
        start = self._rng.randrange(len(self._keys)) if self._keys else 0
        for key in self._keys[start:] + self._keys[:start] if pinned else self._keys[start : start + 1]:
            if key not in pinned:
                return key
        return None
