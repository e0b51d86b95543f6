"""An archive that is being written: what is there already is kept, as far as it is right."""

import hashlib
import os
from dataclasses import dataclass
from typing import BinaryIO

from flstore_core.archives import tar
from flstore_core.archives.base import File
from flstore_core.archives.tar import BLOCK, END, Span
from flstore_core.errors import Unavailable

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in the archive, and where its content comes from."""

    name: str
    file: File
    source: str = ""
    """The path of the content in the HTTP API."""
    content: bytes = b""
    """If there is no source."""

    @classmethod
    def of(cls, name: str, content: bytes) -> "Entry":
        return cls(name, File(hashlib.sha256(content).hexdigest(), len(content)), content=content)


class Unfinished:
    """The file: whole entries, of which the last one may be there in part.

    It is first compared, entry by entry (`keep`), and then appended to (`add`).
    """

    kept = 0
    """Bytes of contents that were there before anything was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._has_written = False
        self.rewind()

    def rewind(self) -> None:
        """Begin to compare anew."""
        self._end = 0
        self._is_comparing = True
        self._digest = hashlib.sha256()
        self._spans: dict[str, Span] = {}

    def keep(self, entry: Entry) -> int:
        """Return how many bytes of the next entry's content are there. Behind the first that lacks some, all goes."""
        if not self._is_comparing:
            return 0
        kept = self._count_right(entry)
        if kept == entry.file.nbytes:
            self._finish(entry, self._end + BLOCK)
        else:
            self._is_comparing = False
            self._end += BLOCK + kept if kept else 0
            self._file.truncate(self._end)
        self.kept += 0 if self._has_written else kept
        return kept

    def add(self, entry: Entry, start: int, piece: bytes | bytearray) -> None:
        """Append a piece of an entry's content, the first with its header.

        Raises:
            Unavailable: if the content, now whole, has another hash than it should; it is taken out again.
        """
        self._has_written = True
        self._file.seek(self._end)
        if start == 0:
            self._digest = hashlib.sha256()
            self._end += self._file.write(tar.header(entry.name, entry.file.nbytes))
        self._digest.update(piece)
        self._end += self._file.write(piece)
        if start + len(piece) == entry.file.nbytes:
            self._end -= entry.file.nbytes
            self._require_right(entry)
            self._finish(entry, self._end)

    def content_of(self, name: str) -> bytes:
        """Return the content of an entry that is whole."""
        span = self._spans[name]
        self._file.seek(span.offset)
        return self._file.read(span.nbytes)

    def seal(self) -> int:
        """End the archive, and return its size in bytes."""
        self._file.seek(self._end)
        self._file.write(END)
        self._file.truncate()
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._end + len(END)

    def _count_right(self, entry: Entry) -> int:
        """Return how many bytes of the entry's content are there; 0 if they are another's, or are wrong."""
        self._file.seek(self._end)
        if self._file.read(BLOCK) != tar.header(entry.name, entry.file.nbytes):
            return 0
        self._digest, left = hashlib.sha256(), entry.file.nbytes
        while left and (chunk := self._file.read(min(left, _CHUNK))):
            self._digest.update(chunk)
            left -= len(chunk)
        is_wrong = not left and self._digest.hexdigest() != entry.file.sha256
        return 0 if is_wrong else entry.file.nbytes - left

    def _require_right(self, entry: Entry) -> None:
        if (sha256 := self._digest.hexdigest()) != entry.file.sha256:
            self._end -= BLOCK
            self._file.truncate(self._end)
            raise Unavailable(
                f"{entry.source} arrived with the SHA-256 {sha256}, and not {entry.file.sha256}; export again"
            )

    def _finish(self, entry: Entry, offset: int) -> None:
        self._spans[entry.name] = Span(offset, entry.file.nbytes)
        self._file.seek(offset + entry.file.nbytes)
        self._file.write(tar.padding(entry.file.nbytes))
        self._end = self._file.tell()
