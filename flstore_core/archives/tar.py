"""The form of an archive: a tar file of regular files, whose headers say nothing but a name and a size.

A header is read strictly: it has to be the very one that this module writes for its name and size. So there are no
links, devices, folders, sparse files or extended headers to be wary of, and whatever was added, cut or changed shows.
Names are in `flstore_core.archives.base`.

    header, 512 bytes | content | zeros up to a multiple of 512 | … | 1024 zeros
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from tarfile import GNU_FORMAT, HeaderError, TarInfo
from typing import BinaryIO

from flstore_core.archives.base import NAME
from flstore_core.errors import InvalidArchive

BLOCK = 512
END = bytes(2 * BLOCK)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a content lies in the file."""

    offset: int
    nbytes: int


def header(name: str, nbytes: int) -> bytes:
    """Return the block before a content. A size from 8 GiB on is written as GNU tar does it."""
    entry = TarInfo(name)
    entry.size = nbytes
    return entry.tobuf(GNU_FORMAT, "ascii", "strict")


def padding(nbytes: int) -> bytes:
    """Return the zeros behind a content."""
    return bytes(-nbytes % BLOCK)


def read_spans(file: BinaryIO) -> dict[str, Span]:
    """Return where each content lies; raise `InvalidArchive` unless the file is a whole archive and nothing more."""
    size = os.fstat(file.fileno()).st_size
    spans: dict[str, Span] = {}
    for name, span in _walk(file, size):
        if name in spans:
            raise InvalidArchive(f"{name} is there twice")
        spans[name] = span
    return spans


def _walk(file: BinaryIO, size: int) -> Iterator[tuple[str, Span]]:
    start = 0
    while any(block := _read(file, start, BLOCK, size)):
        name, nbytes = _parse(block, start)
        span = Span(start + BLOCK, nbytes)
        start = span.offset + nbytes
        zeros = padding(nbytes)
        if _read(file, start, len(zeros), size) != zeros:
            raise InvalidArchive(f"what follows {name} is changed, at byte {start}")
        start += len(zeros)
        yield name, span
    if _read(file, start, len(END), size) != END or size != start + len(END):
        raise InvalidArchive(f"it does not end at byte {start + len(END)}, where its content ends")


def _read(file: BinaryIO, offset: int, nbytes: int, size: int) -> bytes:
    if offset + nbytes > size:
        raise InvalidArchive(f"it is cut: it ends at byte {size}, and goes on at least to {offset + nbytes}")
    file.seek(offset)
    return file.read(nbytes)


def _parse(block: bytes, start: int) -> tuple[str, int]:
    """Return the name and size in a header; raise `InvalidArchive` unless `header` would write it so."""
    try:
        entry = TarInfo.frombuf(block, "ascii", "strict")
        if NAME.fullmatch(entry.name) and entry.size >= 0 and header(entry.name, entry.size) == block:
            return entry.name, entry.size
    except (HeaderError, ValueError):
        pass
    raise InvalidArchive(f"byte {start} begins nothing that `flstore export` writes; a file that tar packed is none")
