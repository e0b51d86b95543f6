"""Writes a job into an archive, through the HTTP API. It may be stopped at any moment and started again.

**The idea.** What an archive has follows from what the gateway says of the job: its program and data sets, then its
rounds in their order, each with the files that it is the first to name. So a file that was begun can be compared with
what it is to have. Its entries are kept as long as they are the right ones, by name, size and hash; from the first one
that is not, the file is written anew. It is named `ARCHIVE.part` until it is whole.

**A job that changes meanwhile.** What is added after the job was looked at is left out: the archive is of that moment.
What is taken away must not stay in it, because a client may have been erased. So once all is written, the gateway is
asked for the records again. If they lack something, the comparison begins anew, and cuts the file where that was.

**Memory.** Files are fetched in pieces, `AHEAD` of them at once, whatever the size of the files.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from flstore_core.archives.base import (
    MANIFEST,
    SETTINGS,
    File,
    Manifest,
    Progress,
    file_of,
    models_of,
    read_round,
    round_bytes,
    round_name,
    silent,
)
from flstore_core.archives.job_files import read_datasets, read_program
from flstore_core.archives.unfinished import Entry, Unfinished
from flstore_core.client import FLStore, paths
from flstore_core.client.naming import Id
from flstore_core.errors import NotFound, RangeNotSatisfiable, Unavailable
from flstore_core.ids import decode
from flstore_core.local_files import writing
from flstore_core.records import Round
from flstore_core.schema import Schema

PIECE_BYTES = 8 << 20
"""Bytes that are asked for at once."""

AHEAD = 4
"""Pieces that are on their way at once; all of them are in memory."""

ATTEMPTS = 5
"""How often a job is looked at that has lost something each time."""

_Piece: TypeAlias = tuple[Entry, int, "Future[bytes | bytearray]"]
"""What it is of, its first byte in there, and its bytes once they have come."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an archive has."""

    path: str
    fingerprint: str
    """SHA-256 of its manifest, which stands for everything in it."""
    rounds: int
    files: int
    nbytes: int
    """Of the archive."""
    kept: int
    """Bytes of its contents that an earlier export had written."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class _Lost(Exception):
    """Something was taken away from the job while it was written."""


def export_job(
    store: FLStore, job: Id, path: Path, *, progress: Progress = silent, piece_bytes: int = PIECE_BYTES
) -> Exported:
    """Write what `store` has of a job to an archive at `path`; what was begun there is gone on with.

    Raises:
        NotFound: if there is no such job.
        InvalidParameters: if the file cannot be written.
        Unavailable: if the gateway cannot be reached, or the job loses something each time that it is looked at.
    """
    unfinished = path.with_name(path.name + ".part")
    with writing(path):
        with _opened(unfinished) as file:
            exported = _export(store, job, path, Unfinished(file), progress, piece_bytes)
        unfinished.replace(path)
    return exported


def _export(store: FLStore, job: Id, path: Path, file: Unfinished, progress: Progress, piece_bytes: int) -> Exported:
    lost = _Lost()
    for _ in range(ATTEMPTS):
        try:
            look = _Look(store, job)
            _Writer(store, file, progress, look.nbytes, piece_bytes).write(look.entries())
            look.require_all(file)
            manifest = Entry.of(MANIFEST, look.manifest().to_bytes())
            kept = file.keep(manifest)
            if kept < manifest.file.nbytes:
                file.add(manifest, kept, manifest.content[kept:])
            return Exported(str(path), manifest.file.sha256, len(look.rounds), len(look.files), file.seal(), file.kept)
        except _Lost as error:
            lost = error
    raise Unavailable(f"job {job} lost something each time that it was looked at ({lost}); export it once it rests")


class _Look:
    """One look at a job: what an archive of it is to have."""

    def __init__(self, store: FLStore, job: Id) -> None:
        self._store, self._job = store, job
        self._info = store.job(job)
        self._numbers = [info.round for info in store.rounds(job)]
        self._program = read_program(store, job)
        self._datasets = read_datasets(store, job)
        self.rounds: dict[int, str] = {}
        """SHA-256 of each record that `entries` has come to."""
        self.files: set[str] = set()
        """Names of the files that `entries` has come to."""

    @property
    def nbytes(self) -> int:
        """About how many bytes the files have."""
        models = (self._info.clients_per_round or 0) + 1
        return self._info.nbytes * models * len(self._numbers)

    def entries(self) -> Iterator[Entry]:
        """Yield what comes before the manifest, each file once. No more than one record is in memory."""
        if self._program:
            yield from self._new(self._program, paths.model_program(self._job))
        for name, file in self._datasets.items():
            yield from self._new(file, paths.dataset(self._job, name))
        for number in self._numbers:
            with _lost_if_missing():
                record = self._store.round(self._job, number)
            yield from self._round_entries(record)

    def require_all(self, file: Unfinished) -> None:
        """Look again; raise `_Lost` if something was taken away from the job that the archive has."""
        with _lost_if_missing():
            if self._store.job(self._job).created_at != self._info.created_at:
                raise _Lost("it was made anew")
            files = read_program(self._store, self._job), read_datasets(self._store, self._job)
            if files != (self._program, self._datasets):
                raise _Lost("its program or its data sets were changed")
            for number, sha256 in self.rounds.items():
                now = self._store.round(self._job, number)
                if Entry.of("", round_bytes(now)).file.sha256 != sha256:
                    before = read_round(number, file.content_of(round_name(number)))
                    if not _uploads(before) <= _uploads(now):
                        raise _Lost(f"round {number} has fewer uploads than before")

    def manifest(self) -> Manifest:
        info = self._info
        return Manifest(
            decode(info.job),
            info.created_at or 0.0,
            Schema.from_json(info.schema),
            info.updates_stated is not False,
            {name: getattr(info, name) for name in SETTINGS},
            self._program,
            self._datasets,
            self.rounds,
        )

    def _round_entries(self, record: Round) -> Iterator[Entry]:
        entry = Entry.of(round_name(record.number), round_bytes(record))
        self.rounds[record.number] = entry.file.sha256
        yield entry
        for member in record.members:
            yield from self._new(file_of(member), paths.update(self._job, record.number, member.client))
        if record.aggregate:
            yield from self._new(file_of(record.aggregate), paths.aggregate(self._job, record.number))

    def _new(self, file: File, source: str) -> Iterator[Entry]:
        if file.name not in self.files:
            self.files.add(file.name)
            yield Entry(file.name, file, source)


def _uploads(record: Round) -> set[tuple[str, str, str]]:
    return {(member.client, member.sha256, member.upload) for member in models_of(record)}


class _Writer:
    """Fetches what an archive lacks, and appends it."""

    def __init__(self, store: FLStore, file: Unfinished, progress: Progress, about: int, piece_bytes: int) -> None:
        self._store, self._file = store, file
        self._progress, self._about = progress, about
        self._piece_bytes = piece_bytes
        self._done = 0

    def write(self, entries: Iterator[Entry]) -> None:
        """Write `entries`; raise `_Lost` if one of them is not to be had any more."""
        self._file.rewind()
        coming = deque[_Piece]()
        with ThreadPoolExecutor(AHEAD, thread_name_prefix="export") as pool:
            try:
                for piece in self._pieces(entries, pool):
                    coming.append(piece)
                    if len(coming) == AHEAD:
                        self._take(*coming.popleft())
                while coming:
                    self._take(*coming.popleft())
            finally:
                for _, _, body in coming:
                    body.cancel()

    def _pieces(self, entries: Iterator[Entry], pool: ThreadPoolExecutor) -> Iterator[_Piece]:
        """Yield what the archive lacks, in its order. No entry is compared any more once the first piece is yielded."""
        for entry in entries:
            kept, size = self._file.keep(entry), entry.file.nbytes
            self._report(kept)
            for start in range(kept, size, self._piece_bytes):
                yield entry, start, pool.submit(self._fetch, entry, start, min(start + self._piece_bytes, size))

    def _fetch(self, entry: Entry, start: int, stop: int) -> bytes | bytearray:
        if not entry.source:
            return entry.content[start:stop]
        with _lost_if_missing():
            piece = self._store.download_range(entry.source, start, stop)
        if piece.nbytes != entry.file.nbytes or not entry.file.sha256.startswith(piece.sha256):
            raise _Lost(f"{entry.source} has another content than before")
        return piece.body

    def _take(self, entry: Entry, start: int, body: "Future[bytes | bytearray]") -> None:
        piece = body.result()
        self._file.add(entry, start, piece)
        self._report(len(piece))

    def _report(self, nbytes: int) -> None:
        self._done += nbytes
        self._progress("exporting", self._done, max(self._about, self._done))


@contextmanager
def _lost_if_missing() -> Iterator[None]:
    try:
        yield
    except (NotFound, RangeNotSatisfiable) as error:
        raise _Lost(error.detail) from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read and write it; create it if there is none."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600), "r+b") as file:
        yield file
