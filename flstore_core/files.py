"""Programs and data sets: files that have a name, and that are replaced and deleted under it.

**The idea.** The bytes of each upload are a file of their own, with the upload's random name in its key. One small
record says which of them the name means, and has their hash. The record is only ever replaced by its etag, so a reader
finds the earlier file or the later one, never one file's hash with the other's bytes. A deletion puts a mark in the
record's place, so that an upload that began before does not bring back what was deleted.

**The steps of a put, and the reason for their order.**

1. Read the record. If it names the same bytes, there is nothing to do.
2. Write the file. It comes before the record: where a record is, its file is whole.
3. List all files of this name.
4. Replace the record, on the condition that it is the one of step 1. If it is not, delete the file and begin again.
5. Delete what step 3 listed, except the file of step 2.

Whatever step 5 deletes is either the earlier file, or belongs to an upload that read the record before step 3. That
upload's own step 4 comes after ours and so fails, because ours has changed the record; or it came before ours, and
then ours failed. No two records are equal, so no etag comes back. So each put or deletion clears away what uploads that
were cut off have left, and no clock says how old a file has to be.

Example: A and B both put a data set, and C's upload was cut off once. `~a`, `~b` and `~c` are files, R is the record.

    A reads R: ~x     B reads R: ~x     A writes ~a     B writes ~b
    A lists ~a ~b ~c ~x     A replaces R: ~a     A deletes ~b ~c ~x
    B cannot replace R, which is not the one it read; it deletes ~b and begins again with ~d

A *deletion* takes steps 3 to 5 with a mark in place of a record. Version 0.1.0 named no uploads and wrote all bytes to
one file, before the record. Its files are read where they lie; since a crash may have left other bytes there than the
record says, the same bytes put again are always stored anew.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import Any

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed
from flstore_core.formats import LATER, Record, from_known
from flstore_core.ids import Home
from flstore_core.records import REMOVED, to_bytes
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json_with_etag


@dataclass(frozen=True, slots=True)
class StoredFile(Record):
    """The record of a stored program or data set."""

    sha256: str
    nbytes: int
    about: Mapping[str, Any]
    """A program's inputs and number of operators, or a data set's tensors."""
    stored_at: float
    """Seconds since the epoch."""
    upload: str = ""
    """Names the upload that brought the file, and is part of its key. Version 0.1.0 named none."""

    def to_json(self) -> dict[str, Any]:
        """Return the record. The upload is in `about`, since version 0.1.0 fails on a field that it does not know."""
        about = {**self.about, LATER: {"upload": self.upload}} if self.upload else self.about
        values = {"sha256": self.sha256, "nbytes": self.nbytes, "about": about, "stored_at": self.stored_at}
        return {**self.unknown, **values}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "StoredFile":
        about = dict(data["about"])
        later = about.pop(LATER, {})
        return from_known(cls, {**data, **later, "about": about})


@dataclass(frozen=True, slots=True)
class FileName:
    """The name of a program or data set, as keys in the store."""

    record: str
    """Key of the record."""
    folder: str
    """Folder of the files."""
    file_of: Callable[[str], str]
    """Returns the key of an upload's file."""

    @classmethod
    def program(cls, home: Home) -> "FileName":
        return cls(layout.program_record(home), home, partial(layout.program, home))

    @classmethod
    def dataset(cls, home: Home, name: str) -> "FileName":
        return cls(layout.dataset_record(home, name), layout.datasets_prefix(home), partial(layout.dataset, home, name))


def new_name() -> str:
    """Return a name that no upload had before: 64 random bits."""
    return token_hex(8)


class Files:
    """Programs and data sets in a store. Safe to share between threads.

    Args:
        name_upload: returns a name that no upload had before.
    """

    def __init__(self, store: ObjectStore, name_upload: Callable[[], str] = new_name) -> None:
        self._store = store
        self._name_upload = name_upload

    def read(self, name: FileName) -> StoredFile:
        """Return the record of a file; raise `NotFound` if there is none."""
        if stored := self._look(name)[0]:
            return stored
        raise NotFound(f"object {name.record!r} says that the file was deleted")

    def put(
        self, name: FileName, body: bytes | memoryview, about: Mapping[str, Any], now: float
    ) -> tuple[StoredFile, bool]:
        """Store a file in place of an earlier one; return its record, and whether it is new."""
        sha256 = hashlib.sha256(body).hexdigest()
        mine: StoredFile | None = None
        while True:
            earlier, etag = self._look(name)
            if mine and earlier and earlier.upload == mine.upload:  # the answer to step 4 was lost
                return mine, True
            if earlier and earlier.upload and earlier.sha256 == sha256:
                return earlier, False
            mine = StoredFile(sha256, len(body), about, now, self._name_upload())
            key = name.file_of(mine.upload)
            self._store.put(key, body)
            try:
                self._replace(name, mine.to_json(), etag, keep=key)
                return mine, True
            except PreconditionFailed:
                self._delete_unless_named(name, mine)

    def delete(self, name: FileName) -> None:
        """Delete a file, and what uploads of that name have left; raise `NotFound` if there is none."""
        existed = False
        while (look := self._look(name))[0] or self._list(name):
            existed = existed or look[0] is not None
            with suppress(PreconditionFailed):  # somebody else replaced the record: look again
                self._replace(name, {REMOVED: self._name_upload()}, look[1])
                break
        if not existed:
            raise NotFound(f"there is no file {name.record!r}")

    def _look(self, name: FileName) -> tuple[StoredFile | None, str | None]:
        """Return the record, None if it is a mark or missing, and the etag of what lies in its place."""
        try:
            document, etag = load_json_with_etag(self._store, name.record)
        except NotFound:
            return None, None
        return (None if REMOVED in document else StoredFile.from_json(document)), etag

    def _delete_unless_named(self, name: FileName, mine: StoredFile) -> None:
        stored, _ = self._look(name)
        if stored is None or stored.upload != mine.upload:
            self._store.delete(name.file_of(mine.upload))

    def _replace(self, name: FileName, document: Mapping[str, Any], etag: str | None, keep: str = "") -> None:
        """Take steps 3 to 5."""
        files = self._list(name)
        self._store.put(name.record, to_bytes(document), if_none_match=etag is None, if_match=etag)
        for key in sorted(files - {keep}):
            self._store.delete(key)

    def _list(self, name: FileName) -> set[str]:
        """Return the keys of all files that uploads of a name have written."""
        own = name.file_of("*").partition("*")[0]
        keys = {info.key for info in self._store.list(name.folder, recursive=False)}
        return {key for key in keys if key == name.file_of("") or key.startswith(own)}
