"""What a plan is made from, the plan, and the table that carries it to gateways and shards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flstore_core.errors import FLStoreError
from flstore_core.ids import JobId, ShardId
from flstore_core.records import Job


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as the planner and the table see it."""

    id: ShardId
    cache_bytes: int
    """Budget of its cache, which is also its weight in the hashing."""
    url: str = ""
    """Where it is reached, whether it is at zero or awake."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which shards hold the slices of one job."""

    owners: tuple[tuple[ShardId, ...], ...]
    """For each slice its distinct shards, the most preferred first."""
    replicas: int

    @property
    def slices(self) -> int:
        """Number of slices."""
        return len(self.owners)

    def to_json(self) -> dict[str, Any]:
        return {"slices": self.slices, "replicas": self.replicas, "owners": [list(holders) for holders in self.owners]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Assignment":
        owners = tuple(tuple(ShardId(shard) for shard in holders) for holders in data["owners"])
        return cls(owners, data["replicas"])


@dataclass(frozen=True, slots=True)
class Table:
    """The published placement. A higher version replaces a lower one."""

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
            "version": self.version,
            "shards": {
                shard.id: {"url": shard.url, "cache_bytes": shard.cache_bytes} for shard in self.shards.values()
            },
            "jobs": {job: assignment.to_json() for job, assignment in self.jobs.items()},
            "predictors": dict(self.predictors),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Table":
        shards = (Shard(ShardId(name), row["cache_bytes"], row["url"]) for name, row in data["shards"].items())
        jobs = {JobId(job): Assignment.from_json(row) for job, row in data["jobs"].items()}
        predictors = {ShardId(name): url for name, url in data.get("predictors", {}).items()}
        return cls(data["version"], {shard.id: shard for shard in shards}, jobs, predictors)


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
