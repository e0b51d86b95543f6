"""The cost of an hour of the paper's trace in each system, from measurements of a part of the trace.

FLStore has two prices. As *functions*, gateway and shards are billed for the time in which they work, as the paper
prices them. On *nodes*, as on Knative, pods are billed while they live: the gateway and the controller always, a shard
from the first request that wakes it until its idle window is over. The baselines are billed for their machine's hour.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flstore_core.cost import cache_hour_bill, idle_hour_bill, node_bill, objstore_hour_bill, saving
from flstore_core.cost.serverless import shard_gb
from loadgen.run.events import Commit, Event, Update
from loadgen.systems.deployments import System

REQUESTS, ROUNDS = 60, 20
"""An hour of the paper's trace: 3,000 requests and 1,000 rounds in 50 hours."""
SHARD_CPUS = 0.5
"""Reserved by a shard's pod, as in the chart."""
GB_PER_GIB = 2**30 / 1e9


@dataclass(frozen=True)
class HourlyCost:
    """Dollars for an hour."""

    functions: float
    nodes: float
    idle_nodes: float
    """On nodes, for an hour without requests: only the gateway and the controller run."""
    objstore: float
    cache: float
    objstore_busy: float
    """If the machine were billed only while it works on requests, and ingest were free."""
    cache_busy: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)

    def savings(self, ours: float) -> dict[System, float]:
        """Return the share of each baseline's cost that is saved if FLStore costs `ours` dollars."""
        return {System.OBJSTORE: saving(ours, self.objstore), System.CACHE: saving(ours, self.cache)}


def paper_hour_cost(
    results: Mapping[System, Mapping[str, Any]], uploads: int, shards: int, cache_bytes: int, awake: float
) -> HourlyCost:
    """Return the price of an hour of the paper's trace.

    Args:
        results: each system's, for the same part of a trace.
        uploads: models uploaded in a round, its aggregate included.
        cache_bytes: budget of each shard.
        awake: share of the hour in which the shards are awake.
    """
    flstore = results[System.FLSTORE]
    per_upload, per_commit = (_each(flstore["costs"], kind, flstore[count]) for kind, count in _INGEST)
    per_request = flstore["dollars"] / max(1, flstore["answered"])
    pod = node_bill(3600.0 * awake, SHARD_CPUS, shard_gb(cache_bytes) / GB_PER_GIB)
    idle = idle_hour_bill().total
    return HourlyCost(
        functions=REQUESTS * per_request + ROUNDS * (uploads * per_upload + per_commit),
        nodes=idle + shards * pod.total,
        idle_nodes=idle,
        objstore=objstore_hour_bill().total,
        cache=cache_hour_bill(shards * cache_bytes).total,
        objstore_busy=_busy(results[System.OBJSTORE]),
        cache_busy=_busy(results[System.CACHE]),
    )


def awake_share(events: Iterable[Event], idle_s: float) -> float:
    """Return the share of a trace's time in which a shard is awake that goes to zero `idle_s` seconds after an ingest.

    Requests are left out: one that the gateway answers wakes no shard, and any other finds the shard awake, since a
    round is always being ingested.

    Example: uploads at 0 s and 30 s of a trace of 200 s, and an idle window of 60 s, keep a shard awake from 0 s to
    90 s: 0.45 of the time.
    """
    awake, until, end = 0.0, 0.0, 0.0
    for event in events:
        end = event.t
        if isinstance(event, Update | Commit):
            # It stays awake until one window from now; what it would have stayed anyway is counted already.
            awake += event.t + idle_s - max(event.t, until)
            until = event.t + idle_s
    return min(1.0, awake / end) if end else 0.0


_INGEST = (("ingest", "uploads"), ("commits", "commits"))


def _each(costs: Mapping[str, float], kind: str, counted: Mapping[str, Any]) -> float:
    return float(costs.get(kind, 0.0) / max(1, counted["count"]))


def _busy(result: Mapping[str, Any]) -> float:
    return float(REQUESTS * result["dollars"] / max(1, result["answered"]))
