"""What the demonstration asks each workload: sensible parameters for known ones, defaults for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CHOSEN: Mapping[str, Mapping[str, Any]] = {
    "aggregate": {"method": "median"},
    "inspect": {"quantiles": [0.0, 0.5, 1.0]},
    "malicious-filter": {"history": 1, "hindsight": 0},  # what an aggregator reads as well: one round
    "metrics": {"metrics": ["loss", "accuracy"], "group_by": ["round"], "aggregations": ["mean"]},
    "personalize": {"global_share": 0.5},
    "provenance": {"last": 3, "verify": True},
}


@dataclass(frozen=True)
class Scene:
    """What questions can be about."""

    round: int
    """The last round."""
    client: str
    """A client worth asking about: an attacker."""


def parameters(workload: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """Return parameters for a workload described as `GET /v1/workloads` does: the round always, a client if needed."""
    schema = workload["parameters"]
    chosen = dict(_CHOSEN.get(workload["name"], {}))
    if "round" in schema.get("properties", {}):
        chosen["round"] = scene.round
    if "models" in schema.get("required", ()):
        chosen["models"] = [{"round": scene.round}]
    if "client" in schema.get("required", ()):
        chosen["client"] = scene.client
    return chosen
