"""Replays an excerpt against a running FLStore and reads the hits that it counted.

Every request for models is sent as the `norms` workload; requests for metadata (P4) are sent as `metrics`, which the
gateway answers from its own cache. As in the simulator, an event is sent only once every update has arrived in its
shard and nothing is being prefetched. The shard says at which second its policy heard of the event, and the simulator
then replays these very seconds. Half-way between sending and answer would be close, but not on a busy machine, where
the simulated policy would decide otherwise now and then.
"""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from flstore_core.client import FLStore
from flstore_core.errors import Unavailable
from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Request
from flstore_core.simulator.events import Committed, Created, Event
from loadgen.replay.excerpt import WORKLOAD, Excerpt

QUIET_WITHIN_S = 30.0
_POLL_S = 0.002


class Moment(NamedTuple):
    """When an event happened, in seconds; both grow from event to event."""

    player: float
    """By the player's clock, since the first event: half-way between sending and answer."""
    shard: float
    """By the shard's clock, if it heard of the event; else when it last heard of one."""


class Player:
    """Sends an excerpt's events to an FLStore.

    Args:
        speed: seconds of the trace in a second.
    """

    def __init__(self, client: FLStore, excerpt: Excerpt, speed: float) -> None:
        self._client = client
        self._excerpt = excerpt
        self._speed = speed

    def play(self) -> list[Moment]:
        """Send every event, each once what the one before it caused is done; return the moment of each.

        Raises:
            Unavailable: if a slice stays on its way, or a shard does not finish prefetching.
        """
        excerpt = self._excerpt
        self._client.create_job(
            excerpt.job,
            like={"weight": np.zeros(excerpt.parameters, np.float32)},
            statistics="off",
            clients_per_round=excerpt.clients_per_round,
            slices=1,
        )
        began, first = time.monotonic(), excerpt.trace.events[0].t
        moments = []
        for event in excerpt.trace.events:
            _sleep_until(began + (event.t - first) / self._speed)
            sent = time.monotonic()
            self._send(event)
            player = (sent + time.monotonic()) / 2 - began
            heard = [inventory["event_s"] for inventory in inventories(self._wait_until_quiet())]
            moments.append(Moment(player, max(heard, default=0.0)))
        return moments

    def _send(self, event: Event) -> None:
        if isinstance(event, Created):
            self._store(event.key)
        elif isinstance(event, Committed):
            self._client.commit(event.job, event.round)
        else:
            self._ask(event.request)

    def _store(self, key: Key) -> None:
        if key.client == METADATA:
            return  # The gateway creates it when the round is committed.
        model = {"weight": np.full(self._excerpt.parameters, 1 + key.round, np.float32)}
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

    def _wait_until_quiet(self) -> Mapping[str, Any]:
        """Return what the caches answer then."""
        deadline = time.monotonic() + QUIET_WITHIN_S
        while not is_quiet(caches := self._client.cache()):
            if time.monotonic() > deadline:
                raise Unavailable(f"slices are still on their way, or prefetched, after {QUIET_WITHIN_S:g} s")
            time.sleep(_POLL_S)
        return caches


def is_quiet(caches: Mapping[str, Any]) -> bool:
    """Return whether no slice is on its way to a shard and none is being prefetched."""
    return not caches["gateway"]["slices_due"] and not any(shard["prefetches_due"] for shard in inventories(caches))


def inventories(caches: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the cache inventory of each shard that is awake, from an answer of `GET /v1/cache`."""
    return [shard["inventory"] for shard in caches["shards"] if "inventory" in shard]


def live_counts(caches: Mapping[str, Any]) -> dict[Pattern, tuple[int, int]]:
    """Return requests and hits by pattern: the shards' counts, and the gateway's for metadata (P4)."""
    counts = {}
    for pattern in Pattern:
        tallies = [caches["gateway"][pattern]] if pattern is Pattern.P4 else [s[pattern] for s in inventories(caches)]
        counts[pattern] = (sum(tally["requests"] for tally in tallies), sum(tally["hits"] for tally in tallies))
    return counts


def _sleep_until(when: float) -> None:
    left = when - time.monotonic()
    if left > 0:
        time.sleep(left)
