"""Fetches a stored model through a gateway into a folder, by a URI: what a storage initializer of KServe does.

    flstore://digits/3             the aggregate of round 3 of the job digits
    flstore://digits/3/client-7    that client's update of the round, as a whole model
    flstore://digits/latest        the aggregate of the newest committed round

Names that no URI can have are percent-encoded in it: `flstore://digits/3/Hospital%20A`.

A round has to be committed, so that every pod which is started later gets the same model. If the job stores
differences, the model is the round's base + the client's update; both are files here, and are added up in pieces.
"""

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from flstore_core.client import FLStore, JobInfo
from flstore_core.client.naming import client_name, job_name
from flstore_core.codec import parse
from flstore_core.errors import InvalidParameters, InvalidTensors, NotFound, Unavailable, without_base
from flstore_core.header import Header
from flstore_core.ids import AGGREGATE, ClientId, JobId, decode, parse_round
from flstore_core.local_files import writing
from flstore_core.model_names import ModelName
from flstore_core.models import folder as folders
from flstore_core.models.differences import add_base
from flstore_core.models.folder import PROGRAM, WEIGHTS, Contents, File
from flstore_core.records import Round, Updates

SCHEME = "flstore://"
LATEST = "latest"
BASE = "base.safetensors"
_URI = re.compile(r"flstore://([^/?#\s]+)/([^/?#\s]+)(?:/([^/?#\s]+))?")


@dataclass(frozen=True, slots=True)
class Source:
    """What a URI names."""

    job: JobId
    round: int | None
    """None for the newest committed one."""
    client: ClientId = AGGREGATE

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Return what `text` names; raise `InvalidParameters` for anything else."""
        match = _URI.fullmatch(text)
        if match is None:
            raise InvalidParameters(
                f"{text[:200]!r} is not usable; write {SCHEME}JOB/ROUND or {SCHEME}JOB/ROUND/CLIENT"
            )
        job, number, client = (unquote(part) for part in match.groups(""))
        named = client_name(client) if client and client != AGGREGATE else AGGREGATE
        return cls(JobId(job_name(job)), None if number == LATEST else parse_round(number), ClientId(named))


def fetch(client: FLStore, source: Source, folder: Path) -> Contents:
    """Fill a folder with a model and its program, and return what it holds.

    Raises:
        NotFound: if there is no such job, program, round or update.
        NotEnoughData: if an update is a difference from a model that is not stored.
        InvalidParameters: if the round is open, or the folder cannot be written.
        TooLarge: if the folder has no room.
    """
    info = client.job(source.job)
    record = _committed(client, source, info)
    model = ModelName(record.number, source.client)
    member = record.find(ClientId(decode(source.client)))  # a gateway tells names as they were given
    if member is None:
        raise NotFound(f"job {source.job!r} stores no model {str(model)!r}")
    folders.clear(folder)
    download = _Download(client, source.job, folder)
    program = download.program()
    weights = download.model(model, member.sha256, WEIGHTS)
    if _is_delta(info, record, source.client):
        download.model(*_base_of(client, source.job, record), BASE)
        weights = _add_up(folder)
    else:
        _parsed(folder / WEIGHTS)
    contents = Contents(source.job, model, program, weights)
    folders.write_contents(folder, contents)
    return contents


@dataclass(frozen=True)
class _Download:
    """Brings files of a job into a folder, as long as there is room."""

    client: FLStore
    job: JobId
    folder: Path

    def program(self) -> File:
        with folders.created(self.folder, PROGRAM) as file:
            return File(self.client.download_program(self.job, file, most_bytes=self._room()), file.tell())

    def model(self, name: ModelName, sha256: str, file_name: str) -> File:
        with folders.created(self.folder, file_name) as file:
            expected, room = str(sha256), self._room()  # a gateway's record may hold anything
            self.client.download_model(self.job, name.round, name.client, file, sha256=expected, most_bytes=room)
            return File(expected, file.tell())

    def _room(self) -> int:
        return shutil.disk_usage(self.folder).free


def _committed(client: FLStore, source: Source, info: JobInfo) -> Round:
    number = info.latest if source.round is None else source.round
    if number is None:
        raise NotFound(f"job {source.job!r} has no committed round")
    record = client.round(source.job, number)
    if record.number != number:
        raise Unavailable(f"the server answers with round {record.number!r} for {number}; is this FLStore's URL?")
    if not record.committed:
        raise InvalidParameters(f"round {number} of job {source.job!r} is open, and may change; commit it first")
    return record


def _is_delta(info: JobInfo, record: Round, client: ClientId) -> bool:
    """As `flstore_core.records.Job.is_delta`, of what a gateway says of the job."""
    shown = None if info.updates_stated else record.updates
    return client != AGGREGATE and (shown or info.updates) == Updates.DELTA


def _base_of(client: FLStore, job: JobId, record: Round) -> tuple[ModelName, str]:
    """Return the model that a round's differences are from, and its hash."""
    aggregate = client.round(job, record.base).aggregate if record.base is not None else None
    if record.base is None or aggregate is None:
        raise without_base(job, record.number)
    return ModelName(record.base), aggregate.sha256


def _add_up(folder: Path) -> File:
    """Add the base to the weights, and take it away."""
    path, base = folder / WEIGHTS, folder / BASE
    with writing(path):
        ours, theirs = _parsed(path), _parsed(base)
        ours.schema.check(theirs.schema)
        weights, addend = np.memmap(path, np.uint8, "r+"), np.memmap(base, np.uint8, "r")
        add_base(ours.schema, weights[ours.data_offset :], addend[theirs.data_offset :])
        weights.flush()
        base.unlink()
        with path.open("rb") as file:
            return File(hashlib.file_digest(file, "sha256").hexdigest(), file.tell())


def _parsed(path: Path) -> Header:
    """Return the header of a file whose tensors lie in canonical order, as gateways store them."""
    header = parse(np.memmap(path, np.uint8, "r").data)
    if not header.is_canonical:
        raise InvalidTensors("the tensors of a stored model lie in another order than the canonical one")
    return header
