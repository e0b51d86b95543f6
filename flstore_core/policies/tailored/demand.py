"""What the users of one job (or of one slice of it) are interested in, learned from commits and requests."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from flstore_core.ids import AGGREGATE, RESERVED
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Request
from flstore_core.policies.tailored.candidates import Attention, Group, Hazards, Ranks
from flstore_core.policies.tailored.hazard import Gap, near
from flstore_core.policies.tailored.known_rounds import Catalogue
from flstore_core.policies.tailored.scans import MOST_WORKLOADS, Scans

NEW_ROUNDS, NEW_MODELS = 1, 2
"""Committed rounds and models that are weighed because they are new."""
ROUNDS_AGAIN: Final = 4
"""Rounds that are weighed because they were asked for."""
MODELS_AGAIN: Final = 12
CLIENTS: Final = 4
"""Clients that may be tracked at once."""

SOON: Final = 1 / 8
"""Part of the usual time between requests over which a walk's rate is averaged: at one age, too few teach it."""
HASTE: Final = 1.25
"""How much more than other requests a walk's steps shorten the time planned for: each of them is sure to plan anew."""


class Interest:
    """Groups of objects that a job's users may ask for next."""

    def __init__(self, hazards: Hazards, index: bool = True, follow: bool = True) -> None:
        self.catalogue = Catalogue()
        self._hazards = hazards
        self._index = index
        """Whether a tracked client's new participations are looked up, or only what was asked for is expected again."""
        self._follow = follow
        """Whether requests are followed at all, or only commits."""
        self._new_rounds = Ranks("round", Pattern.P2, NEW_ROUNDS, hazards)
        self._new_models = Ranks("model", Pattern.P1, NEW_MODELS, hazards)
        self._rounds: Attention[int] = Attention("round asked again", Pattern.P2, ROUNDS_AGAIN, hazards)
        self._models: dict[str, Attention[tuple[Key, ...]]] = {}
        """Of each workload: what serves a release and what evaluates the newest model return to different ones."""
        self._clients: Attention[str] = Attention("client", Pattern.P3, CLIENTS, hazards)
        self._open: Attention[int] = Attention("open round", Pattern.P2, 1, hazards)
        self._walks = Scans(self._updates, hazards)
        self._counts: dict[str, int] = {}
        """How many participations the last request for each tracked client named."""
        self._with_open = False
        """Whether requests for a client name its update of the open round, too."""
        self._gap = Gap()
        self._learn = {
            Pattern.P1: self._asked_models,
            Pattern.P2: self._asked_rounds,
            Pattern.P3: self._asked_clients,
            Pattern.P4: self._asked_nothing,
        }

    def judged(self, now: float) -> list[Group]:
        """Return what is worth keeping, judged at second `now`."""
        horizon = self._horizon(now)
        return [group for group in self._groups() if now >= group.until and group.judge(now, horizon) > 0.0]

    def _horizon(self, now: float) -> float:
        """Return the mean time to the next request, shorter than usual while somebody walks through rounds."""
        usual = self._gap.seconds
        soon = SOON * usual
        walks = [walk.hazard.rate(now - walk.since, soon) for walk in self._walks.groups if now >= walk.until]
        return near(1 / (1 / usual + HASTE * sum(walks))) if walks else usual

    def _groups(self) -> Iterator[Group]:
        return chain(
            self._new_rounds.groups,
            self._new_models.groups,
            self._rounds.groups,
            *(models.groups for models in self._models.values()),
            self._clients.groups,
            self._open.groups,
            self._walks.groups,
        )

    def committed(self, number: int, now: float) -> None:
        """Learn that round `number` is complete."""
        newest = number > self.catalogue.newest
        known = self.catalogue.commit(number)
        if newest:
            self._new_rounds.push(number, known.updates, now)
            self._new_models.push(number, self._aggregate(number), now)
        for key in known.updates:
            if key.client in self._counts:
                self._refresh(key.client)

    def arrived(self, key: Key, size: int) -> Group | None:
        """Learn of a new update or aggregate; return the group that wants it as well, if one does."""
        self.catalogue.add(key, size)
        opened = self._open.get(key.round)
        if opened is not None and key.client != AGGREGATE:
            opened.hold(opened.keys)
            return opened
        return self._refresh(key.client) if key.client in self._counts else None

    def requested(self, request: Request, now: float) -> bool:
        """Learn what a request asked for; say whether it set off or went on with a walk that is worth following."""
        self._gap.asked(now)
        if self._follow:
            self._learn[request.pattern](request, now)
        walk = self._walks.front
        return walk is not None and walk.since == now and walk.judge(now, self._gap.seconds) > 0.0

    def _asked_models(self, request: Request, now: float) -> None:
        for key in request.keys:
            if key.client == AGGREGATE:
                self._new_models.asked(key.round, now)
        models = self._models.get(request.workload) or self._more_models(request.workload)
        models.asked(request.keys, self.catalogue.sizes(request.keys), now)

    def _asked_rounds(self, request: Request, now: float) -> None:
        rounds = dict.fromkeys(key.round for key in request.keys if key.client not in RESERVED)
        for number in rounds:
            self._asked_round(number, request.workload, now)

    def _asked_clients(self, request: Request, now: float) -> None:
        named: dict[str, list[Key]] = {}
        for key in request.keys:
            if key.client not in RESERVED:
                named.setdefault(key.client, []).append(key)
        for client, keys in named.items():
            self._asked_client(client, keys, now)
        self._counts = {client: self._counts[client] for client in self._counts if self._clients.get(client)}

    def _asked_client(self, client: str, keys: Sequence[Key], now: float) -> None:
        group = self._clients.get(client)
        if self.catalogue.takes_part(client):
            self._with_open = keys[-1].round > self.catalogue.newest
        if group is not None and self._counts[client] == len(keys) and self._index:
            self._clients.asked(client, group.keys, now)
            return
        self._counts[client] = len(keys)
        self._clients.asked(client, self._client_updates(client, keys), now)

    def _asked_round(self, number: int, workload: str, now: float) -> None:
        newest = self.catalogue.newest
        if number > newest:
            self._open.asked(number, self._updates_so_far(number), now)
            return
        walked = self._walks.asked(workload, number, number == newest, now)
        if (number == newest or not walked) and self._new_rounds.asked(number, now):
            return
        self._rounds.asked(number, self._updates(number), now)

    def _asked_nothing(self, request: Request, now: float) -> None:
        """Metadata is kept whatever is asked for."""

    def _more_models(self, workload: str) -> Attention[tuple[Key, ...]]:
        if len(self._models) >= MOST_WORKLOADS:
            workload = next(iter(self._models))
        return self._models.setdefault(
            workload, Attention("model asked again", Pattern.P1, MODELS_AGAIN, self._hazards, workload)
        )

    def _refresh(self, client: str) -> Group | None:
        """Bring a tracked client's group up to date; return it if there is one."""
        group = self._clients.get(client)
        if group is not None and self._index:
            group.hold(self.catalogue.last_updates(client, self._counts[client], self._with_open))
            return group
        return None

    def _client_updates(self, client: str, asked: Sequence[Key]) -> Mapping[Key, int]:
        if self._index:
            return self.catalogue.last_updates(client, len(asked), self._with_open)
        return self.catalogue.sizes(asked)

    def _updates(self, number: int) -> Mapping[Key, int]:
        known = self.catalogue.rounds.get(number)
        return known.updates if known and known.committed else {}

    def _updates_so_far(self, number: int) -> Mapping[Key, int]:
        known = self.catalogue.rounds.get(number)
        return known.updates if known else {}

    def _aggregate(self, number: int) -> Mapping[Key, int]:
        known = self.catalogue.rounds.get(number)
        return known.aggregate if known else {}
