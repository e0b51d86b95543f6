"""The demand for one slice of one job: learns from its commits and requests what its users may request next.

It keeps every candidate for the plan that the slice has, and learns from each event by the request's access pattern:

- P1 (one model): the newest models, and by workload the models that it requested lately;
- P2 (a round's updates): the newest rounds, rounds requested lately, the next round of a scan, and the open round;
- P3 (one client across rounds): the last updates of the clients requested lately.

P4 (metadata) is held whole and needs no candidates; see `metadata`.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from flstore_core.ids import AGGREGATE, RESERVED
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Request
from flstore_core.policies.tailored.candidates import Candidate, Hazards
from flstore_core.policies.tailored.hazard import RequestInterval, nearest_power_of_two
from flstore_core.policies.tailored.known_rounds import Group, KnownRounds
from flstore_core.policies.tailored.newest import Newest
from flstore_core.policies.tailored.recently_requested import RecentlyRequested
from flstore_core.policies.tailored.scans import MOST_WORKLOADS, Scans

NEWEST_ROUNDS, NEWEST_MODELS = 1, 2
"""Committed rounds and models that are candidates because they are new."""
REQUESTED_ROUNDS: Final = 4
"""Rounds that are candidates because they were requested."""
REQUESTED_MODELS: Final = 12
"""Models, or sets of models read together, of each workload."""
TRACKED_CLIENTS: Final = 4

SCAN_RATE_WINDOW: Final = 1 / 8
"""A scan's rate is averaged over this part of the usual interval between requests: too few requests come at any single
age to tell the rate at that age."""
SCAN_STEP_WEIGHT: Final = 1.25
"""An expected step of a scan shortens the horizon this many times as much as another expected request: after a step the
plan is always made anew, after another request it seldom is."""


class Demand:
    """The candidates of one slice of one job."""

    def __init__(self, hazards: Hazards, index: bool = True, follow: bool = True) -> None:
        """`index` and `follow` are parts of `flstore_core.policies.tailored.policy.Ablation`."""
        self.rounds = KnownRounds()
        self._hazards = hazards
        self._index = index
        self._follow = follow
        self._newest_rounds = Newest("round", Pattern.P2, NEWEST_ROUNDS, hazards)
        self._newest_models = Newest("model", Pattern.P1, NEWEST_MODELS, hazards)
        self._requested_rounds: RecentlyRequested[int] = RecentlyRequested(
            "round requested again", Pattern.P2, REQUESTED_ROUNDS, hazards
        )
        self._requested_models: dict[str, RecentlyRequested[tuple[Key, ...]]] = {}
        """By workload: one that serves a release and one that evaluates the newest model return to different ones."""
        self._clients: RecentlyRequested[str] = RecentlyRequested(
            "tracked client", Pattern.P3, TRACKED_CLIENTS, hazards
        )
        self._open_round: RecentlyRequested[int] = RecentlyRequested("open round", Pattern.P2, 1, hazards)
        self._scans = Scans(self.rounds.committed_updates, hazards)
        self._updates_requested: dict[str, int] = {}
        """By tracked client, how many updates the last request for it named."""
        self._open_requested: set[int] = set()
        """Rounds that were requested as a whole and are not committed yet."""
        self.awaits_open = False
        """Whether the next open round is likely to be requested: the newest committed one was, while it was open."""
        self._with_open = False
        """Whether requests for a client name its update of the open round too."""
        self._interval = RequestInterval()
        self._observe = {
            Pattern.P1: self._observe_models,
            Pattern.P2: self._observe_rounds,
            Pattern.P3: self._observe_clients,
        }

    def judge(self, now: float) -> list[Candidate]:
        """Return the candidates that are worth holding at second `now`, their densities updated."""
        horizon = self._horizon(now)
        return [
            candidate
            for candidate in self._candidates()
            if now >= candidate.dormant_until and candidate.judge(now, horizon) > 0.0
        ]

    def commit(self, number: int, now: float) -> None:
        """Learn that round `number` is complete."""
        is_newest = number > self.rounds.newest
        record = self.rounds.commit(number)
        if is_newest:
            self._newest_rounds.push(number, record.updates, now)
            self._newest_models.push(number, record.aggregate, now)
            self.awaits_open = number in self._open_requested
            self._open_requested = {other for other in self._open_requested if other > number}
        for key in record.updates.sizes:
            if key.client in self._updates_requested:
                self._refresh_client(key.client)

    def add(self, key: Key, size: int) -> Candidate | None:
        """Learn of a new update or aggregate; return the candidate that includes it from now on, if one does."""
        self.rounds.add(key, size)
        open_round = self._open_round.get(key.round)
        if open_round is not None and key.client != AGGREGATE:
            open_round.set_group(self.rounds.updates(key.round))
            return open_round
        return self._refresh_client(key.client) if key.client in self._updates_requested else None

    def awaits(self, key: Key) -> bool:
        """Return whether an object that arrives is of an open round that is likely to be requested."""
        return self.awaits_open and key.round > self.rounds.newest

    def observe_request(self, request: Request, now: float) -> bool:
        """Learn from a request of pattern P1, P2 or P3; return whether it moved a scan that is worth following."""
        self._interval.observe_request(now)
        if self._follow:
            self._observe[request.pattern](request, now)
        scanned = self._scans.latest
        # The candidate is as old as the scan's last step: if it began now, this request was the step.
        return scanned is not None and scanned.since == now and scanned.judge(now, self._interval.seconds) > 0.0

    def _horizon(self, now: float) -> float:
        """Return the mean seconds to the next request, fewer than usual while somebody scans."""
        usual = self._interval.seconds
        window = SCAN_RATE_WINDOW * usual
        rates = [
            candidate.hazard.rate(now - candidate.since, window)
            for candidate in self._scans.candidates
            if now >= candidate.dormant_until
        ]
        return nearest_power_of_two(1 / (1 / usual + SCAN_STEP_WEIGHT * sum(rates))) if rates else usual

    def _candidates(self) -> Iterator[Candidate]:
        return chain(
            self._newest_rounds.candidates,
            self._newest_models.candidates,
            self._requested_rounds.candidates,
            *(models.candidates for models in self._requested_models.values()),
            self._clients.candidates,
            self._open_round.candidates,
            self._scans.candidates,
        )

    def _observe_models(self, request: Request, now: float) -> None:
        for key in request.keys:
            if key.client == AGGREGATE:
                self._newest_models.observe_request(key.round, now)
        models = self._requested_models.get(request.workload) or self._add_workload(request.workload)
        models.observe_request(request.keys, self.rounds.group(request.keys), now)

    def _add_workload(self, workload: str) -> RecentlyRequested[tuple[Key, ...]]:
        if len(self._requested_models) >= MOST_WORKLOADS:
            workload = next(iter(self._requested_models))
        return self._requested_models.setdefault(
            workload,
            RecentlyRequested("model requested again", Pattern.P1, REQUESTED_MODELS, self._hazards, workload),
        )

    def _observe_rounds(self, request: Request, now: float) -> None:
        numbers = dict.fromkeys(key.round for key in request.keys if key.client not in RESERVED)
        for number in numbers:
            self._observe_round(number, request.workload, now)

    def _observe_round(self, number: int, workload: str, now: float) -> None:
        newest = self.rounds.newest
        if number > newest:
            self._open_requested.add(number)
            self._open_round.observe_request(number, self.rounds.updates(number), now)
            return
        self._scans.observe_request(workload, number, number == newest, now)
        if self._newest_rounds.observe_request(number, now):
            return
        self._requested_rounds.observe_request(number, self.rounds.committed_updates(number), now)

    def _observe_clients(self, request: Request, now: float) -> None:
        keys_by_client: dict[str, list[Key]] = {}
        for key in request.keys:
            if key.client not in RESERVED:
                keys_by_client.setdefault(key.client, []).append(key)
        for client, keys in keys_by_client.items():
            self._observe_client(client, keys, now)
        self._updates_requested = {
            client: count for client, count in self._updates_requested.items() if self._clients.get(client)
        }

    def _observe_client(self, client: str, keys: Sequence[Key], now: float) -> None:
        candidate = self._clients.get(client)
        if self.rounds.has_open_update(client):
            self._with_open = keys[-1].round > self.rounds.newest
        if candidate is not None and self._updates_requested[client] == len(keys) and self._index:
            self._clients.observe_request(client, candidate.group, now)
            return
        self._updates_requested[client] = len(keys)
        self._clients.observe_request(client, self._client_group(client, keys), now)

    def _client_group(self, client: str, keys: Sequence[Key]) -> Group:
        if self._index:
            return self.rounds.last_updates(client, len(keys), self._with_open)
        return self.rounds.group(keys)

    def _refresh_client(self, client: str) -> Candidate | None:
        """Bring a tracked client's candidate up to date; return it if there is one."""
        candidate = self._clients.get(client)
        if candidate is not None and self._index:
            candidate.set_group(self.rounds.last_updates(client, self._updates_requested[client], self._with_open))
            return candidate
        return None
