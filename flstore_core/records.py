"""What is stored beside the tensors, as frozen values with a JSON form: jobs, updates, rounds."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar

from flstore_core import layout
from flstore_core.errors import InvalidParameters
from flstore_core.formats import Record
from flstore_core.ids import AGGREGATE, ClientId, Home, JobId
from flstore_core.schema import Schema

LISTED = "listed"
"""In an unsettled round record: the etags of the members' records, by client."""

REMOVED = "removed"
"""In the place of a member's record: the name of a removal. Uploads that began before it cannot end after it."""

WITHDRAWN = "withdrawn"
"""In an audit record: which update was taken back or replaced. The record of an erasure has no such field."""

Metrics = Mapping[str, Any]
"""JSON values by name; the system itself reads only the weight: `Job.weight_key`, and `WEIGHT_NAMES` after it."""

WEIGHT_NAMES = ("num_examples", "num-examples")
"""Metrics that weigh a client in FedAvg in every job, the first that does; Flower's messages use the second."""

MAX_WEIGHT = 1e15
"""Bound of an update's weight in FedAvg: whole numbers up to about this add up exactly in float64."""

MAX_WEIGHT_KEY = 256
"""Longest name of the metric that weighs a job's clients, in characters."""


class StatisticsMode(StrEnum):
    """Which statistics are computed while a round is ingested."""

    EXACT = "exact"
    """The full Gram matrix of deltas and per-tensor norms."""

    OFF = "off"
    """None: workloads that need statistics answer 422 for the job."""


class Updates(StrEnum):
    """What clients send. An aggregate that is put is a model with either."""

    WEIGHTS = "weights"
    """Models: the weights that a client ended its training with."""

    DELTA = "delta"
    """Differences: those weights minus the weights of the round's base."""


@dataclass(frozen=True, slots=True)
class Job(Record):
    """One FL training run."""

    NAMES: ClassVar[Mapping[str, str]] = {"id": "job"}
    BESIDE: ClassVar[Collection[str]] = ("version", "state", "tensors")  # `flstore_core.generations`

    id: JobId
    schema: Schema
    statistics: StatisticsMode = StatisticsMode.EXACT
    clients_per_round: int = 10
    """Updates expected in a round; sizes the working set."""
    hot_rounds: int = 2
    """Committed rounds that the placement plans to keep in memory beside the open one."""
    replicas: int = 1
    """Shards that hold each slice."""
    slices: int | None = None
    """Slices of the parameter vector; planned from the working set when None."""
    created_at: float = field(default=0.0, compare=False)
    """Seconds since the epoch."""
    updates: Updates = Updates.WEIGHTS
    """What its updates are."""
    updates_stated: bool = field(default=True, compare=False)
    """Whether whoever created the job said so. If not, an aggregate can show otherwise, see `Round.updates`."""
    weight_key: str | None = None
    """The metric that weighs a client in FedAvg; `WEIGHT_NAMES` weigh one that has no weight of that name."""
    generation: str = field(default="", compare=False)
    """Tells a job from an earlier one of the same name; part of the keys of all that the job stores. Jobs of version
    0.1.0 have the empty one."""

    def __post_init__(self) -> None:
        limits = {"clients_per_round": 10_000, "hot_rounds": 1_000, "replicas": 8, "slices": 1_024}
        for name, most in limits.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise InvalidParameters(f"{name} is {value}; use 1 to {most}")
        if not _names_metric(self.weight_key):
            raise InvalidParameters(
                f"weight_key is {self.weight_key!r:.80}; name a metric, in 1 to {MAX_WEIGHT_KEY} characters"
            )
        if not self.schema.parameters:
            raise InvalidParameters("the schema has no floating-point parameters; at least one is needed")

    @property
    def home(self) -> Home:
        """The folder of everything that the job stores."""
        return layout.home(self.id, self.generation)

    @property
    def is_of_version_1(self) -> bool:
        """Whether version 0.1.0 made the job, and so may go on to use it."""
        return not self.generation

    def is_same(self, other: "Job") -> bool:
        """Return whether both are one job, and not one and its successor. Version 0.1.0 gives both the same home."""
        return self == other and (self.home, self.created_at) == (other.home, other.created_at)

    def updates_of(self, shown: Updates | None) -> Updates:
        """Return what the updates of a round are in which `shown` was seen, see `Round.updates`."""
        return self.updates if self.updates_stated else shown or self.updates

    def is_delta(self, client: ClientId, shown: Updates | None) -> bool:
        """Return whether what the store has of a round's client is a difference; an aggregate is always a model."""
        return self.updates_of(shown) is Updates.DELTA and client != AGGREGATE

    def to_json(self) -> dict[str, Any]:
        return {
            **self.unknown,
            "job": self.id,
            "schema": self.schema.to_json(),
            "statistics": self.statistics.value,
            "updates": self.updates.value,
            "updates_stated": self.updates_stated,
            "weight_key": self.weight_key,
            "clients_per_round": self.clients_per_round,
            "hot_rounds": self.hot_rounds,
            "replicas": self.replicas,
            "slices": self.slices,
            "created_at": self.created_at,
            "generation": self.generation,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Job":
        return cls(
            JobId(data["job"]),
            Schema.from_json(data.get("tensors", data["schema"])),
            StatisticsMode(data["statistics"]),
            data["clients_per_round"],
            data["hot_rounds"],
            data["replicas"],
            data["slices"],
            data.get("created_at", 0.0),
            Updates(data.get("updates", Updates.WEIGHTS)),  # records of version 0.1.0 do not say it
            data.get("updates_stated", "updates" in data),
            data.get("weight_key"),
            data.get("generation", ""),
            unknown=cls.unknown_in(data),
        )


@dataclass(frozen=True, slots=True)
class Member(Record):
    """One stored model of a round: a client's update, or the aggregate."""

    NAMES: ClassVar[Mapping[str, str]] = {"keyed_weight": "weight"}

    client: ClientId
    sha256: str
    """Of the whole safetensors file, in hexadecimal."""
    nbytes: int
    data_offset: int
    """First byte of the data section: the length of the file's header."""
    metrics: Metrics = field(default_factory=dict)
    received_at: float = 0.0
    """Seconds since the epoch."""
    upload: str = ""
    """Names the upload that brought the model, and is part of the key of its tensors. Version 0.1.0 named none."""
    keyed_weight: float | None = None
    """What the metric that its job names as `weight_key` weighs it; None if there is no such weight."""

    @property
    def weight(self) -> float | None:
        """Weight of the client in FedAvg; None if it gave none."""
        if self.keyed_weight is not None:
            return self.keyed_weight
        for name in WEIGHT_NAMES:
            if (weight := weight_in(self.metrics, name)) is not None:
                return weight
        return None

    @property
    def num_examples(self) -> float:
        """Weight of the client in FedAvg; 1 if it gave none."""
        weight = self.weight
        return 1.0 if weight is None else weight

    def to_json(self) -> dict[str, Any]:
        record = {
            **self.unknown,
            "client": self.client,
            "sha256": self.sha256,
            "nbytes": self.nbytes,
            "data_offset": self.data_offset,
            "metrics": dict(self.metrics),
            "received_at": self.received_at,
            "upload": self.upload,
        }
        return record if self.keyed_weight is None else {**record, "weight": self.keyed_weight}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Member":
        return cls(
            ClientId(data["client"]),
            data["sha256"],
            data["nbytes"],
            data["data_offset"],
            data["metrics"],
            data["received_at"],
            data.get("upload", ""),
            data.get("weight"),
            unknown=cls.unknown_in(data),
        )

    @classmethod
    def from_place(cls, data: Mapping[str, Any]) -> "Member | None":
        """Return the member whose record lies in its place; None if it was removed and only a mark of that is left."""
        return None if REMOVED in data else cls.from_json(data)


@dataclass(frozen=True)
class Round(Record):
    """A round: its members and, once committed, what was committed with them."""

    NAMES: ClassVar[Mapping[str, str]] = {"number": "round"}
    BESIDE: ClassVar[Collection[str]] = (LISTED,)

    number: int
    base: int | None
    """The round whose aggregate this one started from. None if there is none: deltas are taken against zero."""
    members: tuple[Member, ...]
    """Clients' updates, by name."""
    aggregate: Member | None = None
    metrics: Metrics = field(default_factory=dict)
    hyperparameters: Metrics = field(default_factory=dict)
    committed_at: float | None = None
    """Seconds since the epoch; None while the round is open."""
    base_sha256: str | None = ""
    """SHA-256 of the base's file; None if there is no base. Empty if the record does not say, as in version 0.1.0."""
    base_named: str | None = None
    """What a caller named as the base: a round, the SHA-256 of an aggregate, or `none`; None if nobody did."""
    updates: Updates | None = None
    """What the aggregate, or that of the round's base, showed the updates to be; None if nothing but what their job
    says."""

    @property
    def committed(self) -> bool:
        return self.committed_at is not None

    @cached_property
    def by_client(self) -> Mapping[ClientId, Member]:
        return {member.client: member for member in self.members}

    def find(self, client: ClientId) -> Member | None:
        """Return the update of a client, or the aggregate for the name `AGGREGATE`; None if the round has none."""
        return self.aggregate if client == AGGREGATE else self.by_client.get(client)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the record, and so of everything the round holds, in hexadecimal."""
        return hashlib.sha256(to_bytes(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {
            **self.unknown,
            "round": self.number,
            "base": self.base,
            "members": [member.to_json() for member in self.members],
            "aggregate": self.aggregate.to_json() if self.aggregate else None,
            "metrics": dict(self.metrics),
            "hyperparameters": dict(self.hyperparameters),
            "committed_at": self.committed_at,
            **({} if self.base_sha256 == "" else {"base_sha256": self.base_sha256}),
            **({} if self.base_named is None else {"base_named": self.base_named}),
            **show_updates(self.updates),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Round":
        return cls(
            data["round"],
            data["base"],
            tuple(Member.from_json(member) for member in data["members"]),
            Member.from_json(data["aggregate"]) if data["aggregate"] else None,
            data["metrics"],
            data["hyperparameters"],
            data["committed_at"],
            data.get("base_sha256", ""),
            data.get("base_named"),
            updates_shown(data),
            unknown=cls.unknown_in(data),
        )


def show_updates(shown: Updates | None) -> dict[str, Any]:
    """Return the part of a round's record, or of its opening, that says what its updates were seen to be."""
    return {"updates": shown.value} if shown else {}


def updates_shown(data: Mapping[str, Any]) -> Updates | None:
    """Return what `show_updates` wrote; None if nothing was seen, as in records of version 0.1.0."""
    return Updates(data["updates"]) if "updates" in data else None


def _names_metric(key: object) -> bool:
    return key is None or (isinstance(key, str) and 1 <= len(key) <= MAX_WEIGHT_KEY)


def weight_in(metrics: Metrics, name: str | None) -> float | None:
    """Return a metric as a weight in FedAvg; None if it is none: a number from 0 and below `MAX_WEIGHT` is one."""
    value = metrics.get(name) if name else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_WEIGHT:
        return None
    return float(value)


def to_bytes(value: Any) -> bytes:
    """Return a record's JSON as bytes; raise `InvalidParameters` for a value that JSON cannot express."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidParameters("half of a surrogate pair (\\ud800 to \\udfff) is not text; leave it out") from error
    except (ValueError, RecursionError) as error:
        raise InvalidParameters(
            "NaN, infinities and endless nesting are not JSON; leave them out or use null"
        ) from error
