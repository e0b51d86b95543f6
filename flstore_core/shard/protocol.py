"""What a gateway asks of a shard, with its JSON form. A shard trusts a gateway, but not its arithmetic."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.ids import ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.records import Member
from flstore_core.schema import Schema


@dataclass(frozen=True, slots=True)
class SliceRef:
    """One slice of a job's flat parameter vector."""

    job: JobId
    digest: str
    """Of the job's schema; tells a job from an earlier one of the same name."""
    slices: int
    index: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.slices:
            raise InvalidParameters(f"slice {self.index} of {self.slices} does not exist")

    def bounds(self, schema: Schema) -> tuple[int, int]:
        """Return the slice's flat elements [start, stop)."""
        return schema.slice_bounds(self.index, self.slices)


@dataclass(frozen=True, slots=True)
class MemberRef:
    """Where a model's bytes are, and which bytes are meant."""

    round: int
    client: ClientId
    sha256: str
    data_offset: int
    num_examples: float = 1.0

    @classmethod
    def of(cls, round: int, member: Member) -> "MemberRef":  # noqa: A002
        return cls(round, member.client, member.sha256, member.data_offset, member.num_examples)

    def key(self, part: SliceRef) -> Key:
        return Key(part.job, self.round, self.client, part.index)


@dataclass(frozen=True, slots=True)
class StatisticsRequest:
    """Asks for the statistics of a round's slice, rows in the order of `members`."""

    part: SliceRef
    members: tuple[MemberRef, ...]
    base: MemberRef | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "StatisticsRequest":
        return cls(SliceRef(**data["part"]), _members(data), _base(data))


@dataclass(frozen=True, slots=True)
class MapRequest:
    """Asks for a workload's `map` over a slice of `members`."""

    part: SliceRef
    workload: str
    pattern: Pattern
    params: Mapping[str, Any]
    members: tuple[MemberRef, ...]
    base: MemberRef | None
    weights: tuple[tuple[float, ...], ...] = ()
    """Each member's part in the weighted sums that the workload works out, if it works out such."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "MapRequest":
        return cls(
            SliceRef(**data["part"]),
            data["workload"],
            Pattern(data["pattern"]),
            data["params"],
            _members(data),
            _base(data),
            tuple(map(tuple, data["weights"])),
        )


@dataclass(frozen=True, slots=True)
class Work:
    """What answering took: keys found and not found in the cache, bytes, and seconds by stage."""

    hits: int = 0
    misses: int = 0
    bytes_touched: int = 0
    bytes_fetched: int = 0
    fetch_s: float = 0.0
    compute_s: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.hits + other.hits,
            self.misses + other.misses,
            self.bytes_touched + other.bytes_touched,
            self.bytes_fetched + other.bytes_fetched,
            self.fetch_s + other.fetch_s,
            self.compute_s + other.compute_s,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Answer:
    """A safetensors body and what it took to make it."""

    body: bytes | list[memoryview]
    work: Work

    @property
    def parts(self) -> list[memoryview]:
        """The body as buffers to send one after the other."""
        return [memoryview(self.body)] if isinstance(self.body, bytes) else self.body


def _members(data: Mapping[str, Any]) -> tuple[MemberRef, ...]:
    return tuple(MemberRef(**member) for member in data["members"])


def _base(data: Mapping[str, Any]) -> MemberRef | None:
    return MemberRef(**data["base"]) if data["base"] else None
