"""How much of a job is in the memory of awake shards, and how often their caches hit.

Shards are asked at their direct address, past Knative's counter of requests. Otherwise the question would keep them
awake.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from flstore_core.ids import ShardId
from flstore_core.patterns import Pattern
from flstore_core.records import Job
from services.placement.runtime.base import BackendState, Phase
from services.placement.timing import Time

logger = logging.getLogger(__name__)

TIMEOUT_S = 2.0
"""Longest wait for one shard, in seconds."""
FRESH_S = 10.0
"""Seconds for which answers are reused."""
Inventory = Mapping[str, Any]
"""Answer of `GET /v1/inventory`."""


@dataclass(frozen=True, slots=True)
class Hot:
    """What of a job is in memory."""

    nbytes: int
    hit_rate: float | None
    """Hits over requests of the shards that hold the job, since they woke; None if there was no request."""


class Warmth:
    """Fetches the inventories of awake shards, and remembers them for a moment."""

    def __init__(self, client: httpx.AsyncClient, time: Time) -> None:
        self._client = client
        self._time = time
        self._inventories: Mapping[ShardId, Inventory] = {}
        self._fetched_at: float | None = None

    async def fetch(self, states: Sequence[BackendState]) -> Mapping[ShardId, Inventory]:
        """Return the inventories of those backends that are awake and answer."""
        now = self._time.monotonic()
        if self._fetched_at is None or now - self._fetched_at >= FRESH_S:
            self._fetched_at = now  # before the calls, so that other objects' passes meanwhile do not make them too
            awake = [state for state in states if state.phase is Phase.AWAKE and state.direct_url]
            answers = await asyncio.gather(*(self._ask(state) for state in awake))
            self._inventories = {
                state.id: inventory for state, inventory in zip(awake, answers, strict=True) if inventory
            }
        return self._inventories

    async def _ask(self, state: BackendState) -> Inventory | None:
        try:
            answer = await self._client.get(f"{state.direct_url}/v1/inventory", timeout=TIMEOUT_S)
            answer.raise_for_status()
            inventory: Inventory = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            logger.info("no inventory of %s: %r", state.id, error)
            return None
        return inventory


def measure_hot(job: Job, slices: int, inventories: Iterable[Inventory]) -> Hot:
    """Return what the shards with these inventories hold of a job of `slices` slices.

    Slices differ in size by one parameter at most, so an object is counted as 1/`slices` of an update.
    """
    inventories = tuple(inventories)
    objects = sum(inventory.get("jobs", {}).get(job.id, {}).get("objects", 0) for inventory in inventories)
    tallies = [inventory[pattern.value] for inventory in inventories for pattern in Pattern if pattern in inventory]
    requests = sum(tally["requests"] for tally in tallies)
    hit_rate = sum(tally["hits"] for tally in tallies) / requests if requests else None
    return Hot(objects * job.schema.nbytes // slices, hit_rate)
