"""Replays a trace's load against a running FLStore, so that its hit rates can be held against the simulator's.

The trace is compressed in time and its models shrink, the cache with them, so that as many fit as before. Every request
is sent as the `norms` workload, which reads exactly the keys it names under the pattern it is told, except those for
metadata (P4), which the gateway answers from its own cache. The next event waits until nothing is being fetched ahead,
as in the simulator, and is timed half-way between sending and answer: the simulator then replays these very times.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from flstore_core.client import FLStore
from flstore_core.errors import InvalidParameters, Unavailable
from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Request
from flstore_core.simulator.events import Committed, Created, Event, Requested, Trace

WORKLOAD = "norms"
ITEM_BYTES = 4
"""Of a float32."""
TOLERANCE = 0.01
"""Most that a live hit rate may differ from the simulated one."""
QUIET_WITHIN_S = 30.0
_LOOK_S = 0.002


@dataclass(frozen=True)
class Piece:
    """The part of a trace that is replayed, with shrunk models."""

    trace: Trace
    original: Trace
    """The same events with models of full size."""
    job: str
    parameters: int
    """Of each model."""
    clients_per_round: int

    @property
    def model_bytes(self) -> int:
        return self.parameters * ITEM_BYTES

    def budget(self, rounds: float) -> int:
        """Return the bytes of `rounds` rounds: their updates and their aggregates."""
        return int(rounds * (self.clients_per_round + 1)) * self.model_bytes

    def original_budget(self, rounds: float) -> int:
        """Return what `budget` would be for models of full size."""
        return int(rounds * (self.clients_per_round + 1)) * max(self.original.sizes.values())


def cut(trace: Trace, seconds: float, shrink: Fraction) -> Piece:
    """Return the trace's first `seconds` with models of `shrink` times the size.

    Raises `InvalidParameters` unless the trace is of one job whose models all have one size.
    """
    start = trace.events[0].t
    events = [event for event in trace.events if event.t - start <= seconds]
    made = [event for event in events if isinstance(event, Created) and event.key.client != METADATA]
    jobs, sizes = {event.key.job for event in made}, {event.size for event in made}
    if len(jobs) != 1 or len(sizes) != 1:
        raise InvalidParameters(
            f"the trace has {len(jobs)} jobs and {len(sizes)} sizes of models; one of each can be replayed"
        )
    parameters = max(1, round(sizes.pop() * shrink / ITEM_BYTES))
    updates = [event.key.round for event in made if event.key.client != AGGREGATE]
    most = max((updates.count(number) for number in set(updates)), default=1)
    original = Trace(events, len(events), trace.sizes)
    return Piece(_with_size(events, parameters * ITEM_BYTES), original, jobs.pop(), parameters, most)


def timed(piece: Piece, times: Sequence[float]) -> Trace:
    """Return the piece as it was replayed: at these times, every model read by `WORKLOAD`."""
    events: list[Event] = []
    for event, t in zip(piece.trace.events, times, strict=True):
        if isinstance(event, Requested):
            asked = event.request
            events.append(Requested(t, Request(asked.job, WORKLOAD, asked.pattern, asked.keys)))
        else:
            events.append(event._replace(t=t))
    return Trace(events, piece.trace.lines, piece.trace.sizes)


def parted(trace: Trace) -> tuple[Trace, Trace]:
    """Return what a shard sees of a trace, and what a gateway does: the metadata and the requests for it."""
    return _only(trace, metadata=False), _only(trace, metadata=True)


class Player:
    """Sends a piece's events to an FLStore.

    Args:
        speed: seconds of the trace in a second.
    """

    def __init__(self, client: FLStore, piece: Piece, speed: float) -> None:
        self._client = client
        self._piece = piece
        self._speed = speed

    def play(self) -> list[float]:
        """Send every event, each once the one before has come to rest; return when each was on its way, in seconds.

        Raises:
            Unavailable: if fetching ahead does not come to an end.
        """
        piece = self._piece
        self._client.create_job(
            piece.job,
            like={"weight": np.zeros(piece.parameters, np.float32)},
            statistics="off",
            clients_per_round=piece.clients_per_round,
            slices=1,
        )
        began, first = time.monotonic(), piece.trace.events[0].t
        times = []
        for event in piece.trace.events:
            _sleep_until(began + (event.t - first) / self._speed)
            sent = time.monotonic()
            self._send(event)
            times.append((sent + time.monotonic()) / 2 - began)
            self._wait_until_quiet()
        return times

    def _send(self, event: Event) -> None:
        if isinstance(event, Created):
            self._store(event.key)
        elif isinstance(event, Committed):
            self._client.commit(event.job, event.round)
        else:
            self._ask(event.request)

    def _store(self, key: Key) -> None:
        if key.client == METADATA:
            return  # The gateway makes it when the round is committed.
        model = {"weight": np.full(self._piece.parameters, 1 + key.round, np.float32)}
        if key.client == AGGREGATE:
            self._client.put_aggregate(key.job, key.round, model)
        else:
            self._client.put_update(key.job, key.round, key.client, model, metrics={"num_examples": 1})

    def _ask(self, request: Request) -> None:
        if request.pattern is Pattern.P4:
            rounds = [key.round for key in request.keys]
            self._client.run_anew(request.job, "metrics", first=min(rounds), last=max(rounds))
        else:
            models = [{"round": key.round, "client": key.client} for key in request.keys]
            self._client.run_anew(request.job, WORKLOAD, models=models, pattern=request.pattern.value)

    def _wait_until_quiet(self) -> None:
        deadline = time.monotonic() + QUIET_WITHIN_S
        while any(shard["prefetches_due"] for shard in inventories(self._client.cache())):
            if time.monotonic() > deadline:
                raise Unavailable(f"shards still fetch ahead after {QUIET_WITHIN_S:g} s")
            time.sleep(_LOOK_S)


def inventories(caches: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what each shard that is awake tells of its cache, from an answer of `GET /v1/cache`."""
    return [shard["inventory"] for shard in caches["shards"] if "inventory" in shard]


def live_counts(caches: Mapping[str, Any]) -> dict[Pattern, tuple[int, int]]:
    """Return requests and hits by pattern: of models as the shards count them, of metadata as the gateway does."""
    counts = {}
    for pattern in Pattern:
        tallies = [caches["gateway"][pattern]] if pattern is Pattern.P4 else [s[pattern] for s in inventories(caches)]
        counts[pattern] = (sum(tally["requests"] for tally in tallies), sum(tally["hits"] for tally in tallies))
    return counts


def _with_size(events: Iterable[Event], nbytes: int) -> Trace:
    shrunk = [
        event._replace(size=nbytes) if isinstance(event, Created) and event.key.client != METADATA else event
        for event in events
    ]
    sizes = {event.key: event.size for event in shrunk if isinstance(event, Created)}
    return Trace(shrunk, len(shrunk), sizes)


def _only(trace: Trace, metadata: bool) -> Trace:
    def concerns(event: Event) -> bool:
        if isinstance(event, Created):
            return (event.key.client == METADATA) == metadata
        return not isinstance(event, Requested) or (event.request.pattern is Pattern.P4) == metadata

    events = [event for event in trace.events if concerns(event)]
    return Trace(events, len(events), trace.sizes)


def _sleep_until(when: float) -> None:
    left = when - time.monotonic()
    if left > 0:
        time.sleep(left)
