"""What calls return: small frozen values. A round's record is `flstore_core.records.Round`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from flstore_core.records import Member, Round


class Fields(Mapping[str, Any]):
    """A JSON object whose members are attributes too: `answer.result.clients[0]`.

    Write `fields["items"]` for a member that has the name of a mapping's method (`items`, `keys`, …).
    """

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    @property
    def raw(self) -> Mapping[str, Any]:
        """The plain JSON object."""
        return self._data

    def __reduce__(self) -> tuple[type[Self], tuple[Mapping[str, Any]]]:
        return type(self), (self._data,)

    def __getitem__(self, name: str) -> Any:
        return _wrapped(self._data[name])

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; there are {', '.join(self._data) or 'none'}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._data]

    def __repr__(self) -> str:
        return f"Fields({dict(self._data)!r})"


def _wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return Fields(value)
    return [_wrapped(item) for item in value] if isinstance(value, list) else value


class _FromJson:
    """Is built from a JSON object by the names of its fields; lists become tuples, unknown members are ignored."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        names = {each.name for each in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: _frozen(value) for name, value in data.items() if name in names})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class JobInfo(_FromJson):
    """A job's settings and current state."""

    job: str
    parameters: int
    """Length of the flat parameter vector, in elements."""
    nbytes: int
    """Bytes of an update's data section."""
    committed: int = 0
    """Number of committed rounds."""
    open: tuple[int, ...] = ()
    latest: int | None = None
    """The newest committed round."""
    first: int | None = None
    clients: int | None = None
    """Distinct clients seen; None in lists."""
    statistics: str | None = None
    updates: str | None = None
    """What its updates are, `weights` or `delta`."""
    updates_stated: bool | None = None
    """Whether whoever created the job said so; if not, the record of a round may say otherwise."""
    weight_key: str | None = None
    """The metric that weighs a client in FedAvg, before `num_examples`."""
    clients_per_round: int | None = None
    hot_rounds: int | None = None
    replicas: int | None = None
    slices: int | None = None
    created_at: float | None = None
    """Seconds since the epoch; None in lists."""
    schema: tuple[Mapping[str, Any], ...] = ()
    """Name, dtype and shape of each tensor; empty in lists."""
    placement: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Receipt(_FromJson):
    """What the store holds after an upload of an update or aggregate."""

    job: str
    round: int
    client: str
    sha256: str
    """Of the file that is stored."""
    nbytes: int
    parameters: int = 0
    created: bool = True
    """False if this update had been stored before."""
    rewritten: bool = False
    """The file's tensors came in an order of their own, and are stored in that of the safetensors library."""
    received_sha256: str = ""
    """Of the file that came, which is another one only if it was rewritten; empty from servers of version 0.1.0."""


@dataclass(frozen=True)
class FileRange:
    """A range of a stored file."""

    body: bytearray
    sha256: str
    """Of the whole file, in hexadecimal."""
    nbytes: int
    """Of the whole file."""


@dataclass(frozen=True)
class RoundInfo(_FromJson):
    """A round in a list."""

    round: int
    committed: bool
    clients: int | None = None
    """Number of its updates; None if the server does not count them in lists."""
    base: int | None = None


@dataclass(frozen=True)
class Erasure(_FromJson):
    """What an erasure removed of a client, and what by its nature remains."""

    client: str
    rounds: tuple[int, ...]
    objects: int
    """How many objects were deleted from the store."""
    tombstone: str
    """Key of the audit record in the store."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """How many of each kind went: `updates`, `files`, `statistics` (rounds), `artifacts`, `operations`,
    `working_sets` (of shards), `old_versions`."""
    remains: Mapping[str, Any] = field(default_factory=dict)
    """`aggregates`: rounds whose aggregate the client may have added to. `audit_records`: keys of the records that name
    it. `old_versions`: why the store may still have some, if it may. `elsewhere`: what no erasure reaches."""


@dataclass(frozen=True)
class Answer:
    """A workload's answer."""

    job: str
    workload: str
    pattern: str
    rounds: tuple[int, ...]
    result: Fields
    execution: Fields
    """Where it ran, cache hits and misses, bytes touched, milliseconds of each stage."""
    raw: Mapping[str, Any]
    """The whole answer, as JSON."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Answer":
        return cls(
            data["job"],
            data["workload"],
            data["pattern"],
            tuple(data["rounds"]),
            Fields(data["result"]),
            Fields(data["execution"]),
            data,
        )


@dataclass(frozen=True)
class Operation:
    """A workload that runs in the background."""

    id: str
    state: str
    """`running`, `succeeded`, `failed` or `cancelled`."""
    answer: Answer | None = None
    problem: Mapping[str, Any] | None = None
    created_at: float | None = None
    progress: float | None = None
    """From 0 to 1, where the workload reports it."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Operation":
        result = data.get("result")
        answer = Answer.from_json(result) if result else None
        progress = data.get("progress")
        return cls(data["id"], data["state"], answer, data.get("problem"), data.get("created_at"), progress)


__all__ = [
    "Answer",
    "Erasure",
    "Fields",
    "FileRange",
    "JobInfo",
    "Member",
    "Operation",
    "Receipt",
    "Round",
    "RoundInfo",
]
