"""The `ObjectStore` over a bucket: it tries again after passing trouble, and finds out what a lost answer said.

Reads may be repeated at will. A write with a condition may not: if the answer to `If-None-Match: *` is lost, the first
attempt may have created the object, and the second then finds its own object in the way and is refused with 412.

    attempt 1   PUT If-None-Match: *   → written, but the connection breaks before the answer
    attempt 2   PUT If-None-Match: *   → 412: the object exists, with etag d41d…
                MD5 of our body is d41d…  → it is ours: done
                MD5 of our body differs   → somebody else's: `PreconditionFailed`

What comes without a lost answer is judged by the server alone. So after lost answers, and only then, two writers of
identical bytes may both succeed. This stands on S3 making a single PUT's etag the MD5 of its body. Source: Amazon S3
User Guide, "How to prevent object overwrites with conditional writes".
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TypeVar

from flstore_core.errors import NotFound, PreconditionFailed, ShortObject, StoreUnavailable, TooLarge
from flstore_core.retry import Retry, growing
from flstore_core.storage.base import MIB, Body, HistoryRemains, ObjectInfo, folder_to_delete, pieces_of, size_of
from flstore_core.storage.s3.bucket import Bucket, etag_of, is_latest
from flstore_core.storage.s3.errors import NoBucket, RangeBeyondEnd, Transient, retrying, wait_after
from flstore_core.storage.s3.location import Location
from flstore_core.storage.s3.sdk import Object

T = TypeVar("T")

MAX_BODY_BYTES = 5 << 30
"""S3's own limit for one PUT."""

RETRY = Retry(growing(0.1, 2.0), jitter=1.0, give_up_s=10.0)
"""Full jitter, up to two seconds, so that a store that is back is found soon."""


class S3Store:
    """An `ObjectStore` over one bucket, which the first put creates when it is missing.

    Connection errors, timeouts, 5xx and 429 are tried again as `retry` says. A body over 5 GiB raises `TooLarge`.

    It can be pickled and copied: what travels is how to reach the bucket, keys included. Connections do not.
    """

    def __init__(self, location: Location, retry: Retry = RETRY) -> None:
        """Check the location without asking the server; raise `InvalidParameters` for what no server can have."""
        self._location = location
        self._bucket = Bucket(location)
        self._retry = retry

    def __reduce__(self) -> tuple[type["S3Store"], tuple[Location, Retry]]:
        return S3Store, (self._location, self._retry)

    def __repr__(self) -> str:
        return f"S3Store({self._bucket})"

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        pieces, nbytes = pieces_of(body), size_of(body)
        if nbytes > MAX_BODY_BYTES:
            raise TooLarge(f"object {key!r} has {nbytes} bytes; one PUT takes up to {MAX_BODY_BYTES}")
        headers = {"Content-Length": str(nbytes), "Content-Type": "application/octet-stream"}
        if if_none_match:
            headers["If-None-Match"] = "*"
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        etag = self._put_until_sure(key, pieces, headers)
        return ObjectInfo(key, nbytes, etag, time.time())

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            self.stat(key)
            return b""
        end = None if length is None else offset + length
        try:
            return self._read(key, offset, end)
        except RangeBeyondEnd:
            return b""

    def get_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        def attempt() -> tuple[bytes, ObjectInfo]:
            with self._bucket.opened(key) as response:
                data, headers = response.read(decode_content=False), response.headers
                modified = parsedate_to_datetime(headers["Last-Modified"])
                return data, _info(key, len(data), etag_of(headers), modified)

        return retrying(self._retry, attempt)

    def read_into(self, key: str, buffer: memoryview, *, offset: int = 0) -> None:
        view = buffer.cast("B")
        if view:
            retrying(self._retry, lambda: self._bucket.fill(key, view, offset))
        elif self.stat(key).size < offset:
            raise ShortObject(f"object {key!r} ends before byte {offset}, up to which it was to be read")

    def stream(self, key: str, *, offset: int = 0, length: int | None = None, chunk: int = MIB) -> Iterator[bytes]:
        if length == 0:
            self.stat(key)
            return
        end = None if length is None else offset + length
        etag: str | None = None
        attempts = self._retry.begin()
        while True:
            try:
                with suppress(RangeBeyondEnd), self._bucket.opened(key, offset, end) as response:
                    etag = _same_version(key, etag, etag_of(response.headers))
                    for data in response.stream(chunk, decode_content=False):
                        yield data
                        offset += len(data)
                        attempts.succeeded()
                return
            except Transient as error:
                if offset == end:  # every byte came; an empty range cannot be asked for
                    return
                wait_after(error, attempts)

    def stat(self, key: str) -> ObjectInfo:
        return _listed(key, retrying(self._retry, lambda: self._bucket.stat(key)))

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        for entry in self._entries(prefix, recursive):
            if not entry.is_dir:
                yield _listed(self._bucket.key_of(entry), entry)

    def folders(self, prefix: str = "") -> Iterator[str]:
        for entry in self._entries(prefix, recursive=False):
            if entry.is_dir:
                yield self._bucket.key_of(entry).rstrip("/").rpartition("/")[2]

    def delete(self, key: str) -> None:
        retrying(self._retry, lambda: self._bucket.remove(key))

    def delete_prefix(self, prefix: str) -> None:
        folder = folder_to_delete(prefix)

        def attempt() -> None:
            keys = [info.key for info in self.list(folder)]
            if refused := self._bucket.remove_many(keys, f"folder {prefix!r}"):
                raise Transient(f"folder {prefix!r}: the S3 server did not delete {refused} of its objects")

        retrying(self._retry, attempt)

    def purge_history(self, folder: str, concerns: Callable[[str], bool]) -> int:
        if not self._ask_history(self._bucket.may_have_versions):
            return 0
        versions = self._ask_history(lambda: list(self._bucket.versions(folder)))
        concerned = [version for version in versions if concerns(self._bucket.key_of(version))]
        if not all(version.version_id for version in concerned):  # it has listed the objects themselves: delete none
            raise HistoryRemains(f"folder {folder!r}: the S3 server does not list versions")
        # The marker of a deletion goes last: without it, the version before it would be the object again.
        earlier = [version for version in concerned if not is_latest(version)]
        markers = [version for version in concerned if is_latest(version) and version.is_delete_marker]
        for part in (earlier, markers):
            if part and (kept := self._ask_history(partial(self._bucket.remove_versions, part))):
                raise HistoryRemains(f"folder {folder!r}: the S3 server did not delete {kept} old versions")
        return len(earlier) + len(markers)

    def probe(self) -> None:
        self._bucket.probe()

    def close(self) -> None:
        self._bucket.close()

    def _ask_history(self, attempt: Callable[[], T]) -> T:
        """Return what `attempt` returns; raise `HistoryRemains` if the server refuses."""

        def translated() -> T:
            try:
                return attempt()
            except Transient:
                raise
            except StoreUnavailable as error:
                raise HistoryRemains(error.detail) from error

        return retrying(self._retry, translated)

    def _put_until_sure(self, key: str, pieces: Sequence[memoryview], headers: dict[str, str]) -> str:
        """Put until the server has judged the condition, and return the object's etag."""
        attempts, lost_answer, bucket_created = self._retry.begin(), False, False
        while True:
            try:
                return self._bucket.put(key, pieces, headers)
            except NoBucket as error:
                if bucket_created:  # a server that says so again may contradict itself for ever
                    wait_after(error, attempts)
                retrying(self._retry, self._bucket.create)
                bucket_created = True
            except PreconditionFailed:
                if not lost_answer or self._etag_or_none(key) != (mine := _md5(pieces)):
                    raise
                return mine
            except Transient as error:
                lost_answer = True
                wait_after(error, attempts)

    def _etag_or_none(self, key: str) -> str | None:
        try:
            return self.stat(key).etag
        except NotFound:
            return None

    def _read(self, key: str, offset: int, end: int | None) -> bytes:
        def attempt() -> bytes:
            with self._bucket.opened(key, offset, end) as response:
                return response.read(decode_content=False)

        return retrying(self._retry, attempt)

    def _entries(self, prefix: str, recursive: bool) -> Iterator[Object]:
        """Yield what a listing has; after trouble go on behind the last name that came."""
        last: str | None = None
        attempts = self._retry.begin()
        while True:
            try:
                for entry in self._bucket.entries(prefix, recursive, last):
                    yield entry
                    last = entry.object_name
                    attempts.succeeded()
                return
            except Transient as error:
                wait_after(error, attempts)


def _md5(pieces: Iterable[memoryview]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _same_version(key: str, expected: str | None, etag: str) -> str:
    if expected not in (None, etag):
        raise StoreUnavailable(f"object {key!r} was replaced while it was read; read it again")
    return etag


def _info(key: str, size: int, etag: str, modified: datetime) -> ObjectInfo:
    return ObjectInfo(key, size, etag, modified.timestamp())


def _listed(key: str, entry: Object) -> ObjectInfo:
    assert entry.size is not None
    assert entry.last_modified is not None
    return _info(key, entry.size, str(entry.etag), entry.last_modified)
