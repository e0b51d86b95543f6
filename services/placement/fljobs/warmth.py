"""What awake shards hold and how well that serves, asked directly: a question by their address keeps them up."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from flstore_core.ids import ShardId
from flstore_core.patterns import Pattern
from flstore_core.records import Job
from services.placement.kube.timing import Time
from services.placement.runtime.base import Phase, ShardState

logger = logging.getLogger(__name__)

TIMEOUT_S = 2.0
FRESH_S = 10.0
Inventory = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hot:
    """What is in memory of a job."""

    nbytes: int
    hit_rate: float | None
    """Of all requests to the shards that hold the job, since they woke; None while nobody has asked."""


class Warmth:
    """Asks awake shards for their inventories, and remembers the answers for a moment."""

    def __init__(self, client: httpx.AsyncClient, time: Time) -> None:
        self._client = client
        self._time = time
        self._found: Mapping[ShardId, Inventory] = {}
        self._asked_at: float | None = None

    async def inventories(self, shards: Sequence[ShardState]) -> Mapping[ShardId, Inventory]:
        """Return the inventories of the shards that are awake; those that do not answer are left out."""
        now = self._time.monotonic()
        if self._asked_at is None or now - self._asked_at >= FRESH_S:
            self._asked_at = now
            awake = [state for state in shards if state.phase is Phase.AWAKE and state.direct_url]
            answers = await asyncio.gather(*(self._ask(state) for state in awake))
            self._found = {state.shard: found for state, found in zip(awake, answers, strict=True) if found}
        return self._found

    async def _ask(self, state: ShardState) -> Inventory | None:
        try:
            answer = await self._client.get(f"{state.direct_url}/v1/inventory", timeout=TIMEOUT_S)
            answer.raise_for_status()
            found: Inventory = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            logger.info("no inventory of %s: %r", state.shard, error)
            return None
        return found


def hot(job: Job, slices: int, inventories: Iterable[Inventory]) -> Hot:
    """Return what some shards hold of a job of `slices` slices, which are of one size but for a parameter."""
    known = tuple(inventories)
    objects = sum(found.get("jobs", {}).get(job.id, {}).get("objects", 0) for found in known)
    tallies = [found[pattern.value] for found in known for pattern in Pattern if pattern.value in found]
    requests = sum(tally["requests"] for tally in tallies)
    rate = sum(tally["hits"] for tally in tallies) / requests if requests else None
    return Hot(objects * job.schema.nbytes // slices, rate)
