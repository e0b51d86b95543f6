"""The wire between gateways, the placement controller and shards: paths, headers and messages, for both sides.

A message travels as JSON (`to_json`, `from_json`): as the body of a request, or in `MESSAGE_HEADER` beside a raw body.
Both sides may be of different versions (`flstore_core.formats`): what a message did not have in version 0.1.0 is left
out while it has its default, and may be missing.
Predictors answer on the paths of their cache too; what only they answer stands in `flstore_core.models.protocol`.
A shard trusts a gateway, but not its arithmetic; that a request is a gateway's is proven by `services.common.proof`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from flstore_core import layout
from flstore_core.errors import InvalidParameters
from flstore_core.formats import from_known, require_format, without_defaults
from flstore_core.ids import MAX_ROUND, ClientId, Home, JobId, job_id
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.records import Member
from flstore_core.schema import Schema
from flstore_core.shard.windows import Window
from flstore_core.units import parse_natural

SLICES: Final = "/v1/slices"
"""PUT: take in one packed slice; an `UploadMessage` says which."""
STATISTICS: Final = "/v1/statistics"
"""POST a `StatisticsRequest`: a slice's part of a round's statistics."""
MAP: Final = "/v1/map"
"""POST a `MapRequest`: a workload's partial of one slice."""
COMMITS: Final = "/v1/commits"
"""POST a `CommitMessage`: a round is committed."""
ASSIGNMENT: Final = "/v1/assignment"
"""POST an `AssignmentMessage`: which slices are whose by the newest placement table."""
JOB: Final = "/v1/jobs/{job}"
"""DELETE: drop a deleted job."""
CLIENT: Final = "/v1/jobs/{job}/clients/{client}"
"""DELETE: drop an erased client of a job."""
INVENTORY: Final = "/v1/inventory"
"""GET: what is cached and how well it served."""
EXPLAIN: Final = "/v1/cache/explain"
"""GET with the query `key`, see `parse_key`: why a key is cached or is not."""

MESSAGE_HEADER: Final = "X-FLStore-Message"
"""Request header: the message that says what a raw body is."""
WORK_HEADER: Final = "X-FLStore-Work"
"""Response header: the `Work` that an answer took."""
WINDOW_HEADER: Final = "X-FLStore-Window"
"""Response header: the `Window` of a slice that a partial is of; absent if it is of the whole slice."""

_LAST_SLICE = 2**31 - 1
"""More than any job can have; larger numbers in a key are refused unread."""


@dataclass(frozen=True, slots=True)
class SliceRef:
    """One slice of a job's flat parameter vector."""

    job: JobId
    digest: str
    """Of the job's schema."""
    slices: int
    index: int
    generation: str = ""
    """Of the job; gateways of version 0.1.0 send none, and know only jobs that have none."""

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.slices:
            raise InvalidParameters(f"slice {self.index} of {self.slices} does not exist")

    @property
    def home(self) -> Home:
        """The folder of everything that the job stores."""
        return layout.home(self.job, self.generation)

    def to_json(self) -> dict[str, Any]:
        return without_defaults(self, asdict(self), ("generation",))

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
    is_delta: bool = False
    """Whether the bytes are a model's difference from the base of its round."""
    upload: str = ""
    """Names the upload that brought the model, and is part of the key of its tensors."""

    @classmethod
    def of(cls, round: int, member: Member, is_delta: bool = False) -> "MemberRef":  # noqa: A002
        examples, upload = member.num_examples, member.upload
        return cls(round, member.client, member.sha256, member.data_offset, examples, is_delta, upload)

    def to_json(self) -> dict[str, Any]:
        return without_defaults(self, asdict(self), ("is_delta", "upload"))

    def file(self, home: Home) -> str:
        """Return the key of the model's tensors in a job's home."""
        return layout.tensors(home, self.round, self.client, self.upload)

    def key(self, part: SliceRef) -> Key:
        return Key(part.job, self.round, self.client, part.index)


@dataclass(frozen=True, slots=True)
class UploadMessage:
    """Says which slice of which model a raw body is, and which model the round's deltas are taken against."""

    part: SliceRef
    member: MemberRef
    base: MemberRef | None

    def to_json(self) -> dict[str, Any]:
        return {"part": self.part.to_json(), "member": self.member.to_json(), "base": _base_to_json(self.base)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "UploadMessage":
        return cls(_part(data), from_known(MemberRef, data["member"]), _base(data))


@dataclass(frozen=True, slots=True)
class CommitMessage:
    """Says that a round is committed, to the owner of one slice of it."""

    part: SliceRef
    round: int

    def to_json(self) -> dict[str, Any]:
        return {"part": self.part.to_json(), "round": self.round}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "CommitMessage":
        return cls(_part(data), int(data["round"]))


@dataclass(frozen=True, slots=True)
class AssignmentMessage:
    """Says which slices of which jobs a shard owns by the placement table of that version; it drops all others."""

    version: int
    owned: Mapping[JobId, Sequence[int]]

    def to_json(self) -> dict[str, Any]:
        return {"version": self.version, "owned": self.owned}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "AssignmentMessage":
        require_format("a message", data)
        return cls(int(data["version"]), data["owned"])


@dataclass(frozen=True, slots=True)
class StatisticsRequest:
    """Asks for the statistics of a round's slice, rows in the order of `members`."""

    part: SliceRef
    members: tuple[MemberRef, ...]
    base: MemberRef | None

    def to_json(self) -> dict[str, Any]:
        return {
            "part": self.part.to_json(),
            "members": [member.to_json() for member in self.members],
            "base": _base_to_json(self.base),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "StatisticsRequest":
        return cls(_part(data), _members(data), _base(data))


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
    bases: Mapping[int, MemberRef] = field(default_factory=dict)
    """The model to add to members that are differences, by their round."""
    start: int | None = None
    """The flat element from which on the slice is meant, if the answer may be of a window that begins there. None, as
    from gateways that know no windows, if it has to be of the whole slice."""

    @property
    def models(self) -> list[MemberRef]:
        """All models to read, one maybe several times."""
        return [*self.members, *self.bases.values(), *([self.base] if self.base else [])]

    def to_json(self) -> dict[str, Any]:
        return {
            "part": self.part.to_json(),
            "workload": self.workload,
            "pattern": self.pattern.value,
            "params": self.params,
            "members": [member.to_json() for member in self.members],
            "base": _base_to_json(self.base),
            "weights": self.weights,
            "bases": {number: base.to_json() for number, base in self.bases.items()},
            **({} if self.start is None else {"start": self.start}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "MapRequest":
        return cls(
            _part(data),
            data["workload"],
            Pattern(data["pattern"]),
            data["params"],
            _members(data),
            _base(data),
            tuple(map(tuple, data["weights"])),
            {int(number): from_known(MemberRef, base) for number, base in data.get("bases", {}).items()},
            None if data.get("start") is None else int(data["start"]),
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

    def to_header(self) -> str:
        """Return the value of `WORK_HEADER`."""
        return json.dumps(self.to_json())

    @classmethod
    def from_header(cls, text: str) -> "Work":
        """Return what a `WORK_HEADER` says."""
        return from_known(cls, json.loads(text))


@dataclass(frozen=True, slots=True)
class Answer:
    """A safetensors body and what it took to make it."""

    body: bytes | list[memoryview]
    work: Work
    window: Window | None = None
    """What of a slice the body is of, if it is not of the whole slice."""

    @property
    def headers(self) -> dict[str, str]:
        """What is said beside the body."""
        headers = {WORK_HEADER: self.work.to_header()}
        return headers if self.window is None else {**headers, WINDOW_HEADER: self.window.to_header()}

    @property
    def parts(self) -> list[memoryview]:
        """The body as buffers to send one after the other."""
        return [memoryview(self.body)] if isinstance(self.body, bytes) else self.body


def parse_key(text: str) -> Key:
    """Return the cache's key that `job/round/client` or `job/round/client/slice` means; the slice is 0 by default.

    Raises:
        InvalidParameters: if `text` has another form.
        InvalidId: if no job can have that name.
    """
    parts = text.split("/")
    if len(parts) == 3:
        parts.append("0")
    job, number, client, index = parts if len(parts) == 4 else ("", "", "", "")
    round_number, slice_index = parse_natural(number, MAX_ROUND), parse_natural(index, _LAST_SLICE)
    if round_number is None or slice_index is None:
        raise InvalidParameters(f"key {text[:80]!r} is not job/round/client or job/round/client/slice")
    return Key(job_id(job), round_number, ClientId(client), slice_index)


def _base_to_json(base: MemberRef | None) -> dict[str, Any] | None:
    return base.to_json() if base else None


def _part(data: Mapping[str, Any]) -> SliceRef:
    """Return the slice that a message is about; raise `NewerFormat` for a message of a later version's format."""
    require_format("a message", data)
    return from_known(SliceRef, data["part"])


def _members(data: Mapping[str, Any]) -> tuple[MemberRef, ...]:
    return tuple(from_known(MemberRef, member) for member in data["members"])


def _base(data: Mapping[str, Any]) -> MemberRef | None:
    return from_known(MemberRef, data["base"]) if data["base"] else None
