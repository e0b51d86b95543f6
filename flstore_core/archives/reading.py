"""An archive that is read: nothing of it is used before everything in it has been checked."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from flstore_core.archives import tar
from flstore_core.archives.base import (
    MANIFEST,
    MAX_DOCUMENT_BYTES,
    File,
    Manifest,
    Progress,
    file_of,
    models_of,
    read_round,
    round_name,
)
from flstore_core.archives.tar import Span
from flstore_core.client.bodies import FileBody
from flstore_core.errors import InvalidArchive, InvalidParameters
from flstore_core.records import Round

_CHUNK = 1 << 20


class Archive:
    """An archive whose form is sound; `check` says whether its content is."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._spans = tar.read_spans(file)
        text = self._document(MANIFEST)
        self.fingerprint = hashlib.sha256(text).hexdigest()
        self.manifest = Manifest.from_bytes(text)

    @property
    def nbytes(self) -> int:
        """Of all contents."""
        return sum(span.nbytes for span in self._spans.values())

    def round(self, number: int) -> Round:
        """Return the record of a round."""
        return read_round(number, self._document(round_name(number)))

    def body(self, file: File) -> FileBody:
        """Return what sends a file from where it lies."""
        span = self._span(file.name)
        return FileBody(self._path, span.nbytes, span.offset)

    def start(self, file: File, nbytes: int) -> bytes:
        """Return the first bytes of a file, at most `nbytes`."""
        span = self._span(file.name)
        self._file.seek(span.offset)
        return self._file.read(min(nbytes, span.nbytes))

    def check(self, progress: Progress) -> None:
        """Raise `InvalidArchive` unless it has what its manifest and records name, with these hashes, and no more."""
        self._check_names()
        total, done = self.nbytes, 0
        for name, span in self._spans.items():
            digest = hashlib.sha256()
            for chunk in self._chunks(span):
                digest.update(chunk)
                done += len(chunk)
                progress("checking", done, total)
            if name != MANIFEST and digest.hexdigest() != self._hash_of(name):
                raise InvalidArchive(f"{name} is changed: its SHA-256 is {digest.hexdigest()}")

    def _check_names(self) -> None:
        """Compare the names and sizes that there are with those that manifest and records have."""
        named = {MANIFEST, *map(round_name, self.manifest.rounds)}
        for file in self._files():
            if self._span(file.name).nbytes != file.nbytes:
                raise InvalidArchive(f"{file.name} has {self._spans[file.name].nbytes} bytes, and not {file.nbytes}")
            named.add(file.name)
        if more := sorted(self._spans.keys() - named):
            raise InvalidArchive(f"{more[0]} is there, and nothing names it")

    def _files(self) -> Iterator[File]:
        yield from self.manifest.files
        for number in self.manifest.rounds:
            yield from map(file_of, models_of(self.round(number)))

    def _hash_of(self, name: str) -> str:
        kind, _, rest = name.partition("/")
        return rest if kind == "objects" else self.manifest.rounds[int(rest.removesuffix(".json"))]

    def _chunks(self, span: Span) -> Iterator[bytes]:
        self._file.seek(span.offset)
        for start in range(0, span.nbytes, _CHUNK):
            yield self._file.read(min(_CHUNK, span.nbytes - start))

    def _document(self, name: str) -> bytes:
        span = self._span(name)
        if span.nbytes > MAX_DOCUMENT_BYTES:
            raise InvalidArchive(f"{name} has {span.nbytes} bytes; at most {MAX_DOCUMENT_BYTES} are read")
        return b"".join(self._chunks(span))

    def _span(self, name: str) -> Span:
        if span := self._spans.get(name):
            return span
        raise InvalidArchive(f"{name} is missing")


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive; raise `InvalidArchive` if the file is none, `InvalidParameters` if it cannot be read."""
    try:
        with path.open("rb") as file:
            yield Archive(path, file)
    except OSError as error:
        raise InvalidParameters(f"file {str(path)!r} cannot be read: {error.strerror or error}") from error
    except InvalidArchive as error:
        raise InvalidArchive(f"{str(path)!r}: {error.detail}") from error
