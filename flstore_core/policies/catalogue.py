"""What exists of one job, as far as a policy has been told: rounds, their members, and who took part when."""

from bisect import bisect_right, insort
from collections.abc import Iterable

from flstore_core.ids import AGGREGATE
from flstore_core.policies.base import Key

MOST_ROUNDS = 4096
"""Rounds remembered; older ones are forgotten and never fetched ahead."""


class KnownRound:
    """The objects of one round."""

    __slots__ = ("aggregate", "aggregate_bytes", "committed", "updates")

    def __init__(self) -> None:
        self.updates: dict[Key, int] = {}
        """Updates with their bytes, in order of arrival."""
        self.aggregate: Key | None = None
        self.aggregate_bytes = 0
        self.committed = False


class Catalogue:
    """Rounds and the client → rounds participation index of one slice of one job."""

    def __init__(self) -> None:
        self.rounds: dict[int, KnownRound] = {}
        self.newest = -1
        """Newest committed round, -1 before the first."""
        self._participations: dict[str, list[int]] = {}

    def add(self, key: Key, size: int) -> None:
        """Learn of an update or an aggregate."""
        known = self._round(key.round)
        if key.client == AGGREGATE:
            known.aggregate, known.aggregate_bytes = key, size
        elif key not in known.updates:
            known.updates[key] = size
            self._took_part(key.client, key.round)

    def commit(self, number: int) -> KnownRound:
        """Learn that a round is complete."""
        known = self._round(number)
        known.committed = True
        self.newest = max(self.newest, number)
        return known

    def sizes(self, keys: Iterable[Key]) -> dict[Key, int]:
        """Return those of `keys` that exist, with their bytes."""
        found: dict[Key, int] = {}
        for key in keys:
            if known := self.rounds.get(key.round):
                if key in known.updates:
                    found[key] = known.updates[key]
                elif key == known.aggregate:
                    found[key] = known.aggregate_bytes
        return found

    def takes_part(self, client: str) -> bool:
        """Say whether the client has sent an update to an open round."""
        rounds = self._participations.get(client, [])
        return bool(rounds) and rounds[-1] > self.newest

    def last_updates(self, client: str, count: int, with_open: bool) -> dict[Key, int]:
        """Return the client's updates of its last `count` rounds, committed or open as well, with their bytes."""
        rounds = self._participations.get(client, [])
        end = len(rounds) if with_open else bisect_right(rounds, self.newest)
        found: dict[Key, int] = {}
        for number in rounds[max(0, end - count) : end]:
            if known := self.rounds.get(number):
                found |= {key: size for key, size in known.updates.items() if key.client == client}
        return found

    def _took_part(self, client: str, number: int) -> None:
        rounds = self._participations.get(client)
        if rounds is None:
            self._participations[client] = [number]
        elif rounds[-1] < number:
            rounds.append(number)
        else:
            insort(rounds, number)

    def _round(self, number: int) -> KnownRound:
        known = self.rounds.get(number)
        if known is None:
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
