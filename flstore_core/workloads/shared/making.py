"""How FLStore made a round's aggregate itself, as it is stored with the aggregate.

    {"method": "fedavg", "weights": {"5tn2xq…": 0.25, "k81c0z…": 0.75}, "dropped": 0, "params": {"method": "fedavg"}}

Weights are by the names of uploads, which say nothing of clients: what is stored of an aggregate stays when a client is
erased. Three of the methods take values by rank, and `dropped` says how many of each coordinate they leave out; all
others are sums of models by these weights. Whoever stores an aggregate may write anything there; what does not read as
a making is none.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flstore_core.ids import ClientId
from flstore_core.records import Member, Metrics, Round

METRIC = "made"
"""The metric of an aggregate."""

BY_RANK = ("median", "trimmed-mean", "bulyan")
"""Methods whose result is no sum of models."""

_UNSTATED = ("clients", "factors", "seed")


@dataclass(frozen=True)
class Making:
    """How an aggregate was made."""

    method: str
    weights: Mapping[str, float]
    """Of the uploads that were used."""
    dropped: int = 0
    """Values left out of each coordinate."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Of the workload `aggregate`, but for those that name clients, and the seed of noise."""

    @property
    def is_by_rank(self) -> bool:
        return self.method in BY_RANK

    @property
    def is_noisy(self) -> bool:
        """Whether noise was added, so that it cannot be made again without its seed."""
        return bool(self.params.get("noise"))

    @property
    def around_median(self) -> bool:
        """Whether the values that count are those around the median, not those in the middle."""
        return self.method == "bulyan"

    def by_client(self, record: Round) -> Mapping[ClientId, float] | None:
        """Return the weights of a round's clients that were used; None if not all of these updates are still there."""
        clients = {_name(member): member.client for member in record.members}
        if not clients.keys() >= self.weights.keys():
            return None
        return {clients[upload]: weight for upload, weight in self.weights.items()}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def making_of(result: Mapping[str, Any], params: Mapping[str, Any], record: Round) -> Making:
    """Return how an aggregate is made, from the answer of the workload `aggregate` and the round that it read."""
    pairs = zip(result["clients"], result["weights"], strict=True)
    weights = {_name(record.by_client[ClientId(client)]): float(weight) for client, weight in pairs}
    stated = {name: value for name, value in params.items() if name not in _UNSTATED}
    return Making(result["method"], weights, result["dropped"], stated)


def renamed(record: Round, now: Round) -> Metrics:
    """Return the metrics of a round's aggregate as they are of the same round whose uploads have other names.

    Args:
        now: has the same clients.
    """
    metrics = record.aggregate.metrics if record.aggregate else {}
    if (making := read_making(record)) is None:
        return metrics
    names = {_name(member): _name(now.by_client[member.client]) for member in record.members}
    weights = {names.get(upload, upload): weight for upload, weight in making.weights.items()}
    return {**metrics, METRIC: {**metrics[METRIC], "weights": weights}}


def _name(member: Member) -> str:
    """Return what tells an upload from others: its name, or its hash in jobs of version 0.1.0."""
    return member.upload or member.sha256


def read_making(record: Round) -> Making | None:
    """Return how a round's aggregate was made; None if FLStore did not make it, or it does not say."""
    stored = record.aggregate.metrics.get(METRIC) if record.aggregate else None
    try:
        return _read(stored) if isinstance(stored, Mapping) else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _read(stored: Mapping[str, Any]) -> Making:
    weights = {str(upload): float(weight) for upload, weight in stored["weights"].items()}
    return Making(str(stored["method"]), weights, int(stored["dropped"]), dict(stored["params"]))
