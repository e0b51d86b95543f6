"""What exists of one job, as far as a policy has been told: rounds, their members, and who took part when."""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from typing import Final

from flstore_core.ids import AGGREGATE
from flstore_core.policies.base import Key

MOST_ROUNDS: Final = 4096
"""Rounds remembered; older ones are forgotten and never fetched ahead."""


class KnownRound:
    """The objects of one round, with their bytes."""

    __slots__ = ("aggregate", "committed", "updates")

    def __init__(self) -> None:
        self.updates: dict[Key, int] = {}
        """In order of arrival."""
        self.aggregate: dict[Key, int] = {}
        """At most one."""
        self.committed = False


class Catalogue:
    """Rounds and the client → rounds participation index of one slice of one job."""

    def __init__(self) -> None:
        self.rounds: dict[int, KnownRound] = {}
        self.newest = -1
        """Newest committed round, -1 before the first."""
        self._participations: dict[str, list[int]] = {}
        """Rising."""

    def add(self, key: Key, size: int) -> None:
        """Learn of an update or an aggregate."""
        _, number, client, _ = key
        known = self.rounds.get(number) or self._begin(number)
        if client == AGGREGATE:
            known.aggregate[key] = size
        elif key not in known.updates:
            known.updates[key] = size
            rounds = self._participations.get(client)
            if rounds is None:
                self._participations[client] = [number]
            elif rounds[-1] < number:
                rounds.append(number)
            else:
                insort(rounds, number)

    def commit(self, number: int) -> KnownRound:
        """Learn that a round is complete."""
        known = self.rounds.get(number) or self._begin(number)
        known.committed = True
        self.newest = max(self.newest, number)
        return known

    def sizes(self, keys: Sequence[Key]) -> Mapping[Key, int]:
        """Return those of `keys` that exist, with their bytes; for a round's aggregate alone, the round's own table."""
        found: dict[Key, int] = {}
        for key in keys:
            if known := self.rounds.get(key.round):
                objects = known.aggregate if key.client == AGGREGATE else known.updates
                if len(keys) == 1 and objects is known.aggregate:
                    return objects
                if key in objects:
                    found[key] = objects[key]
        return found

    def takes_part(self, client: str) -> bool:
        """Say whether the client has sent an update to an open round."""
        rounds = self._participations.get(client)
        return rounds is not None and rounds[-1] > self.newest

    def last_updates(self, client: str, count: int, with_open: bool) -> dict[Key, int]:
        """Return the client's updates of its last `count` rounds, committed or open as well, with their bytes."""
        rounds = self._participations.get(client, [])
        end = len(rounds) if with_open else bisect_right(rounds, self.newest)
        found: dict[Key, int] = {}
        for number in rounds[max(0, end - count) : end]:
            if known := self.rounds.get(number):
                found |= {key: size for key, size in known.updates.items() if key.client == client}
        return found

    def _begin(self, number: int) -> KnownRound:
        known = self.rounds[number] = KnownRound()
        if len(self.rounds) > MOST_ROUNDS:
            self._forget_oldest()
        return known

    def _forget_oldest(self) -> None:
        oldest = min(self.rounds)
        for key in self.rounds.pop(oldest).updates:
            rounds = self._participations[key.client]
            rounds.remove(oldest)
            if not rounds:
                del self._participations[key.client]
