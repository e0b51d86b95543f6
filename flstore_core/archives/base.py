"""What an archive holds.

    objects/{sha256}         the job's files, each under its own hash: program, data sets, updates, aggregates
    rounds/{round:08d}.json  a round's record, as the gateway gives it, before the files that it is the first to name
    manifest.json            the job's settings, and the hash of each record; last

No name in it comes from a client, so none has to be trusted, or is too long for a tar file. Files with the same bytes
are there once. The manifest names the records by their hashes, and a record its files; so the hash of the manifest, the
archive's *fingerprint*, stands for everything.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from flstore_core.errors import FLStoreError, InvalidArchive, NewerFormat
from flstore_core.ids import client_id, encode, job_id, object_name, round_number
from flstore_core.records import Member, Round, Updates
from flstore_core.schema import Schema

FORMAT = 1
MANIFEST = "manifest.json"
NAME = re.compile(r"manifest\.json|rounds/[0-9]{8}\.json|objects/[0-9a-f]{64}")

MAX_DOCUMENT_BYTES = 1 << 28
"""Longest record or manifest; one of ten thousand clients takes some megabytes."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Is called with what is done (`checking`, `sending`, …), the bytes dealt with, and about how many there are."""

SETTINGS = ("statistics", "updates", "weight_key", "clients_per_round", "hot_rounds", "replicas", "slices")
"""Of a job, by the names of `create_job`."""

_HASH = re.compile("[0-9a-f]{64}")
_UNREADABLE = (FLStoreError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a job: a program, a data set, a model."""

    sha256: str
    nbytes: int

    @property
    def name(self) -> str:
        """In an archive."""
        return f"objects/{self.sha256}"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "File":
        sha256, nbytes = data["sha256"], data["nbytes"]
        if not (isinstance(sha256, str) and _HASH.fullmatch(sha256) and type(nbytes) is int and nbytes >= 0):
            raise ValueError(f"{sha256!r:.80} of {nbytes!r:.40} bytes is no file")
        return cls(sha256, nbytes)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of a job, and which records it has."""

    job: str
    """As it was named by whoever created it."""
    created_at: float
    """Seconds since the epoch."""
    schema: Schema
    updates_stated: bool
    settings: Mapping[str, Any]
    """By the names of `create_job`."""
    program: File | None
    datasets: Mapping[str, File]
    rounds: Mapping[int, str]
    """SHA-256 of each round's record, ascending by its number."""

    @property
    def files(self) -> list[File]:
        """Of the job itself."""
        return [*([self.program] if self.program else []), *self.datasets.values()]

    def to_bytes(self) -> bytes:
        return _to_bytes(
            {
                "format": FORMAT,
                "job": self.job,
                "created_at": self.created_at,
                "schema": self.schema.to_json(),
                "updates_stated": self.updates_stated,
                "settings": dict(self.settings),
                "program": asdict(self.program) if self.program else None,
                "datasets": {name: asdict(file) for name, file in self.datasets.items()},
                "rounds": {str(number): sha256 for number, sha256 in self.rounds.items()},
            }
        )

    @classmethod
    def from_bytes(cls, text: bytes) -> "Manifest":
        """Return the manifest in a document; raise `InvalidArchive` if it is none, `NewerFormat` for a later one."""
        with refused(f"the {MANIFEST} is not usable"):
            data = read_json(text)
            if data["format"] > FORMAT:
                raise NewerFormat(f"the archive has the format {data['format']!r:.40}, this version reads {FORMAT}")
            return cls(
                _job(data["job"]),
                float(data["created_at"]),
                Schema.from_json(data["schema"]),
                bool(data["updates_stated"]),
                _settings(data["settings"]),
                File.from_json(data["program"]) if data["program"] else None,
                {object_name("data set", name): File.from_json(row) for name, row in data["datasets"].items()},
                dict(sorted((round_number(int(number)), _text(sha)) for number, sha in data["rounds"].items())),
            )


def round_name(number: int) -> str:
    """Return the name of a round's record in an archive."""
    return f"rounds/{number:08d}.json"


def round_bytes(record: Round) -> bytes:
    """Return a round's record as an archive has it."""
    return _to_bytes(record.to_json())


def read_round(number: int, text: bytes) -> Round:
    """Return the record of a round; raise `InvalidArchive` if a document is none."""
    with refused(f"the record of round {number} is not usable"):
        record = Round.from_json(read_json(text))
        if type(record.number) is not int or record.number != number:
            raise ValueError(f"it is of round {record.number!r:.40}")
        for member in models_of(record):
            File.from_json({"sha256": member.sha256, "nbytes": member.nbytes})
        _check_values(record)
        return record


def models_of(record: Round) -> Iterator[Member]:
    """Yield a round's updates, then its aggregate."""
    yield from record.members
    if record.aggregate:
        yield record.aggregate


def file_of(member: Member) -> File:
    return File(member.sha256, member.nbytes)


def read_json(text: bytes) -> dict[str, Any]:
    """Return the JSON object in a document; raise `ValueError` or `RecursionError` for anything else."""
    document = json.loads(text, parse_constant=_refuse_constant)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return document


class refused:  # noqa: N801 - a context manager, used like a function
    """Turns what reading a foreign document raises into `InvalidArchive`, which begins with `what`."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NewerFormat | InvalidArchive):
            return
        if isinstance(error, _UNREADABLE):
            raise InvalidArchive(f"{self._what}: {error!s:.200}") from error


def _check_values(record: Round) -> None:
    names = [client_id(encode(_text(member.client))) for member in record.members]
    if len(set(names)) < len(names):
        raise ValueError("a client is there twice")
    mappings = (record.metrics, record.hyperparameters, *(member.metrics for member in models_of(record)))
    if not all(isinstance(each, dict) for each in mappings):
        raise ValueError("its metrics are no objects")
    if not isinstance(record.base, int | None) or not isinstance(record.base_named, str | None):
        raise ValueError("its base is none")
    if not isinstance(record.committed_at, int | float | None):
        raise ValueError("its time is none")


def _settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of a job. A gateway judges all but one, from which follows what is sent to it."""
    Updates(settings["updates"])
    return {name: settings[name] for name in SETTINGS}


def _job(name: Any) -> str:
    job_id(encode(_text(name), "job"))
    return str(name)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} is no text")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _to_bytes(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
