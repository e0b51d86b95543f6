"""What a plan is made from, the plan, and the table that carries it to gateways and shards."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from flstore_core.errors import FLStoreError
from flstore_core.formats import Record
from flstore_core.ids import JobId, ShardId
from flstore_core.records import Job


@dataclass(frozen=True, slots=True)
class Shard(Record):
    """A shard as the planner and the table see it."""

    id: ShardId
    cache_bytes: int
    """Budget of its cache, which is also its weight in the hashing."""
    url: str = ""
    """Where it is reached, whether it is at zero or awake."""

    def to_json(self) -> dict[str, Any]:
        """Return the shard's row in the table, where it stands under its id."""
        return {**self.unknown, "url": self.url, "cache_bytes": self.cache_bytes}

    @classmethod
    def from_json(cls, shard: ShardId, row: Mapping[str, Any]) -> "Shard":
        return cls(shard, row["cache_bytes"], row["url"], unknown=cls.unknown_in(row))


@dataclass(frozen=True, slots=True)
class Assignment(Record):
    """Which shards hold the slices of one job."""

    owners: tuple[tuple[ShardId, ...], ...]
    """For each slice its distinct shards, the most preferred first."""
    replicas: int

    BESIDE: ClassVar[Collection[str]] = ("slices",)

    @property
    def slices(self) -> int:
        """Number of slices."""
        return len(self.owners)

    def to_json(self) -> dict[str, Any]:
        owners = [list(holders) for holders in self.owners]
        return {**self.unknown, "slices": self.slices, "replicas": self.replicas, "owners": owners}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Assignment":
        owners = tuple(tuple(ShardId(shard) for shard in holders) for holders in data["owners"])
        return cls(owners, data["replicas"], unknown=cls.unknown_in(data))


@dataclass(frozen=True, slots=True)
class Table(Record):
    """The published placement. A higher version replaces a lower one.

    What a later version has added to the table, or to a shard or job in it, stays as long as the shard or job does.
    """

    version: int = 0
    shards: Mapping[ShardId, Shard] = field(default_factory=dict)
    jobs: Mapping[JobId, Assignment] = field(default_factory=dict)
    predictors: Mapping[ShardId, str] = field(default_factory=dict)
    """URL of each predictor."""

    def owned(self) -> dict[ShardId, dict[JobId, list[int]]]:
        """Return by shard and job the slices of which the shard holds a copy, ascending."""
        owned: dict[ShardId, dict[JobId, list[int]]] = {}
        for job, assignment in self.jobs.items():
            for index, holders in enumerate(assignment.owners):
                for shard in holders:
                    owned.setdefault(shard, {}).setdefault(job, []).append(index)
        return owned

    def to_json(self) -> dict[str, Any]:
        return {
            **self.unknown,
            "version": self.version,
            "shards": {name: shard.to_json() for name, shard in self.shards.items()},
            "jobs": {job: assignment.to_json() for job, assignment in self.jobs.items()},
            "predictors": dict(self.predictors),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Table":
        shards = (Shard.from_json(ShardId(name), row) for name, row in data["shards"].items())
        jobs = {JobId(job): Assignment.from_json(row) for job, row in data["jobs"].items()}
        predictors = {ShardId(name): url for name, url in data.get("predictors", {}).items()}
        by_id = {shard.id: shard for shard in shards}
        return cls(data["version"], by_id, jobs, predictors, unknown=cls.unknown_in(data))


@dataclass(frozen=True, slots=True)
class Observed:
    """The facts that a plan is made from, at one moment."""

    shards: tuple[Shard, ...]
    """The shards that exist or should exist."""
    jobs: tuple[Job, ...]
    current: Mapping[JobId, Assignment] = field(default_factory=dict)
    """The placement so far; the plan keeps what nothing forces to move."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which shards are to hold what."""

    jobs: Mapping[JobId, Assignment]
    refused: Mapping[JobId, FLStoreError] = field(default_factory=dict)
    """By job, why it cannot be placed."""
