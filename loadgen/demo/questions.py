"""Parameters of the demonstration's questions: chosen for some workloads, defaults for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CHOSEN: Mapping[str, Mapping[str, Any]] = {
    "aggregate": {"method": "median"},
    "inspect": {"quantiles": [0.0, 0.5, 1.0]},
    "malicious-filter": {"history": 1, "hindsight": 0},  # one round, as the aggregator reads
    "metrics": {"metrics": ["loss", "accuracy"], "group_by": ["round"], "aggregations": ["mean"]},
    "personalize": {"global_share": 0.5},
    "provenance": {"last": 3, "verify": True},
}


@dataclass(frozen=True)
class Scene:
    """The round and the client that questions are about."""

    round: int
    """The last round."""
    client: str
    """A client worth asking about: an attacker."""


def parameters(workload: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """Return parameters for a workload of `GET /v1/workloads`: the round if it takes one, a client if it needs one."""
    schema = workload["parameters"]
    chosen = dict(_CHOSEN.get(workload["name"], {}))
    if "round" in schema.get("properties", {}):
        chosen["round"] = scene.round
    if "models" in schema.get("required", ()):
        chosen["models"] = [{"round": scene.round}]
    if "client" in schema.get("required", ()):
        chosen["client"] = scene.client
    return chosen
