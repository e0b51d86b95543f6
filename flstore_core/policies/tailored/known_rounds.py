"""What exists of one slice of a job, as far as its policy has seen: rounds, their objects, and who took part when.

A client is sampled rarely: in the published trace it takes part in the very next round only 7 % of the time. So "the
last five updates of this client" is a question to an index from clients to rounds and not to the round numbers.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import Final

from flstore_core.ids import AGGREGATE
from flstore_core.policies.base import Key

MOST_ROUNDS: Final = 4096
"""Rounds remembered; older ones are forgotten and never fetched ahead."""


class Group:
    """Objects that a request needs together, with their bytes.

    Everything that stands for the same objects of a round shares one group: it is compared by identity.
    """

    __slots__ = ("bytes", "sizes")

    def __init__(self, sizes: dict[Key, int] | None = None) -> None:
        self.sizes: dict[Key, int] = {} if sizes is None else sizes
        """In order of arrival."""
        self.bytes = sum(self.sizes.values())

    def add(self, key: Key, size: int) -> None:
        """Add an object of `size` bytes, or change its size."""
        self.bytes += size - self.sizes.get(key, 0)
        self.sizes[key] = size


class KnownRound:
    """The objects of one round."""

    __slots__ = ("aggregate", "committed", "updates")

    def __init__(self) -> None:
        self.updates = Group()
        self.aggregate = Group()
        """At most one object."""
        self.committed = False


class KnownRounds:
    """The rounds of one slice of one job, and the rounds in which each client took part."""

    def __init__(self) -> None:
        self.newest = -1
        """Newest committed round, -1 before the first."""
        self._rounds: dict[int, KnownRound] = {}
        self._participations: dict[str, list[int]] = {}
        """By client, ascending."""

    def add(self, key: Key, size: int) -> None:
        """Learn of an update or an aggregate."""
        _, number, client, _ = key
        record = self._rounds.get(number) or self._add_round(number)
        if client == AGGREGATE:
            record.aggregate.add(key, size)
        elif key not in record.updates.sizes:
            record.updates.add(key, size)
            rounds = self._participations.get(client)
            if rounds is None:
                self._participations[client] = [number]
            elif rounds[-1] < number:
                rounds.append(number)
            else:
                insort(rounds, number)

    def commit(self, number: int) -> KnownRound:
        """Learn that round `number` is complete, and return it."""
        record = self._rounds.get(number) or self._add_round(number)
        record.committed = True
        self.newest = max(self.newest, number)
        return record

    def updates(self, number: int) -> Group:
        """Return the updates that round `number` has so far, open or committed; empty for an unknown round."""
        record = self._rounds.get(number)
        return record.updates if record else Group()

    def committed_updates(self, number: int) -> Group:
        """Return the updates of round `number`; empty for one that is open or unknown."""
        record = self._rounds.get(number)
        return record.updates if record and record.committed else Group()

    def group(self, keys: Sequence[Key]) -> Group:
        """Return those of `keys` that exist; for one aggregate alone, the group that its round has."""
        sizes: dict[Key, int] = {}
        for key in keys:
            if record := self._rounds.get(key.round):
                if key.client != AGGREGATE:
                    group = record.updates
                elif len(keys) == 1:
                    return record.aggregate
                else:
                    group = record.aggregate
                if key in group.sizes:
                    sizes[key] = group.sizes[key]
        return Group(sizes)

    def has_open_update(self, client: str) -> bool:
        """Return whether the client has sent an update to a round that is not committed."""
        rounds = self._participations.get(client)
        return rounds is not None and rounds[-1] > self.newest

    def last_updates(self, client: str, count: int, with_open: bool) -> Group:
        """Return the client's updates of its last `count` committed rounds, or of open ones as well."""
        rounds = self._participations.get(client, [])
        end = len(rounds) if with_open else bisect_right(rounds, self.newest)
        sizes: dict[Key, int] = {}
        for number in rounds[max(0, end - count) : end]:
            if record := self._rounds.get(number):
                sizes |= {key: size for key, size in record.updates.sizes.items() if key.client == client}
        return Group(sizes)

    def _add_round(self, number: int) -> KnownRound:
        record = self._rounds[number] = KnownRound()
        if len(self._rounds) > MOST_ROUNDS:
            self._forget_oldest()
        return record

    def _forget_oldest(self) -> None:
        oldest = min(self._rounds)
        for key in self._rounds.pop(oldest).updates.sizes:
            rounds = self._participations[key.client]
            rounds.remove(oldest)
            if not rounds:
                del self._participations[key.client]
