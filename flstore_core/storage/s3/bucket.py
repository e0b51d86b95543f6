"""One bucket of an S3 server. Each method is one attempt at one request, with every library's errors translated."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

import urllib3
from urllib3 import HTTPHeaderDict
from urllib3.response import BaseHTTPResponse

from flstore_core.errors import InvalidParameters, NotFound, PreconditionFailed, ShortObject, StoreUnavailable
from flstore_core.outbound import open_pools
from flstore_core.storage.base import MIB, checked_key, checked_prefix
from flstore_core.storage.s3.errors import HIDE_SIGNATURES, NoBucket, RangeBeyondEnd, code_of, refusal, translated
from flstore_core.storage.s3.location import Location
from flstore_core.storage.s3.sdk import BaseURL, DeleteObject, Minio, Object, S3Error, check_bucket_name

CONNECT_S = 5.0
"""Longest wait for a connection, and for room to send the next MiB on a fresh one."""
SILENCE_S = 10.0
"""Longest wait for the next bytes of an answer."""
PROBE_S = 2.0
"""Longest wait of a readiness check, connection and answer each."""
MAX_CONNECTIONS = 64
"""Connections kept open between requests; more are opened when needed."""

_SIGNATURE_VALID = timedelta(minutes=15)
_NO_ANSWER = (400, 403, 405, 501)
"""Statuses by which a server says that we may not ask, or that it does not know the question."""
_READ = 256 << 10
"""Bytes read from the socket at once."""


class Bucket:
    """Requests about the objects below a location's prefix, by their keys. Safe to share between threads."""

    def __init__(self, location: Location) -> None:
        """Check the location without asking the server; raise `InvalidParameters` for what no server can have."""
        self._name = location.bucket
        self._prefix = checked_prefix(location.prefix)
        self._endpoint = location.endpoint
        self._pool = _pool(location, CONNECT_S, SILENCE_S)
        self._probe_pool = _pool(location, PROBE_S, PROBE_S)
        self._client = _client(location, self._pool)
        self._prober = _client(location, self._probe_pool)
        logging.getLogger("urllib3.connectionpool").addFilter(HIDE_SIGNATURES)

    def __str__(self) -> str:
        return f"{self._endpoint!r}, bucket={self._name!r}, prefix={self._prefix!r}"

    def key_of(self, entry: Object) -> str:
        """Return the key of an object, or the prefix of a folder, that `entries` listed."""
        return str(entry.object_name).removeprefix(self._prefix)

    def put(self, key: str, pieces: Iterable[memoryview], headers: dict[str, str]) -> str:
        """Write an object and return its etag.

        The body travels as one PUT with a presigned URL: the SDK's own put copies and hashes it first. It is sent in
        slices of a MiB, because a socket's timeout bounds each send as a whole.
        """
        what, name = f"object {key!r}", self._object_name(key)
        slices = [piece[begin : begin + MIB] for piece in pieces for begin in range(0, len(piece), MIB)]
        with translated(what):
            body = cast("list[bytes]", slices)  # urllib3 sends any buffer, and annotates bytes
            response = self._pool.request("PUT", self._signed_url("PUT", name), body=body, headers=headers)
            if response.status == 200:
                return _stated(etag_of(response.headers))
        error = refusal(what, response.status, code_of(response))
        if type(error) is NotFound:  # how Amazon answers If-Match on a missing object
            raise PreconditionFailed(f"{what} does not exist")
        raise error

    @contextmanager
    def opened(self, key: str, offset: int = 0, end: int | None = None) -> Iterator[BaseHTTPResponse]:
        """Open the bytes of `key` from `offset` up to `end`; the connection is reused only after a complete read."""
        if end is not None and end <= offset:  # to the SDK, a length of 0 is the whole object
            raise InvalidParameters(f"object {key!r} cannot be read from {offset} to {end}")
        name, length, complete = self._object_name(key), 0 if end is None else end - offset, False
        with translated(f"object {key!r}"):
            response = self._client.get_object(self._name, name, offset, length)
            try:
                if not response.headers.keys() & {"ETag", "Last-Modified"}:
                    raise ValueError("no S3 server answers so")
                if (offset or length) and response.status != 206:
                    raise StoreUnavailable(f"object {key!r}: the S3 server ignores ranges")
                yield response
                complete = True
            finally:
                if not complete:
                    response.close()
                response.release_conn()

    def fill(self, key: str, view: memoryview, offset: int) -> None:
        """Fill `view` with the bytes of `key` from `offset`; raise `ShortObject` where the object ends first."""
        done = 0
        with suppress(RangeBeyondEnd), self.opened(key, offset, offset + len(view)) as response:
            while count := response.readinto(view[done : done + _READ]):
                done += count
        if done < len(view):
            raise ShortObject(f"object {key!r} ends before byte {offset + len(view)}, up to which it was to be read")

    def stat(self, key: str) -> Object:
        """Return what the server knows about an object."""
        with translated(f"object {key!r}"):
            return _whole(self._client.stat_object(self._name, self._object_name(key)))

    def entries(self, prefix: str, recursive: bool, after: str | None) -> Iterator[Object]:
        """Yield the objects, and where not `recursive` the folders, below `prefix` whose names come behind `after`."""
        below = self._prefix + checked_prefix(prefix)
        with suppress(NoBucket), translated(f"folder {prefix!r}"):
            yield from map(_whole, self._client.list_objects(self._name, below, recursive, start_after=after))

    def remove(self, key: str) -> None:
        """Delete an object, if it exists."""
        with suppress(NotFound), translated(f"object {key!r}"):
            self._client.remove_object(self._name, self._object_name(key))

    def remove_many(self, keys: Sequence[str], what: str) -> int:
        """Delete objects and return how many of them the server refused to delete."""
        with translated(what):
            objects = [DeleteObject(self._object_name(key)) for key in keys]
            return len(list(self._client.remove_objects(self._name, objects)))

    def may_have_versions(self) -> bool:
        """Say whether the bucket keeps old versions of objects, or did so at some time, or does not say."""
        with suppress(NoBucket), translated(f"bucket {self._name!r}"):
            try:
                return self._client.get_bucket_versioning(self._name).status in ("Enabled", "Suspended")
            except S3Error as error:
                if error.response.status not in _NO_ANSWER:
                    raise
                return True  # a listing will tell
        return False

    def versions(self, prefix: str) -> Iterator[Object]:
        """Yield all versions of the objects below `prefix`, and the markers of deletions."""
        below = self._prefix + checked_prefix(prefix)
        with suppress(NoBucket), translated(f"folder {prefix!r}"):
            try:
                yield from self._client.list_objects(self._name, below, recursive=True, include_version=True)
            except ValueError as error:  # the SDK's, for XML that it does not expect
                raise StoreUnavailable(
                    f"folder {prefix!r}: the S3 server lists versions in a way of its own"
                ) from error

    def remove_versions(self, versions: Sequence[Object]) -> int:
        """Delete versions and return how many of them the server refused to delete."""
        with translated(f"{len(versions)} old versions"):
            objects = [DeleteObject(str(version.object_name), version.version_id) for version in versions]
            return len(list(self._client.remove_objects(self._name, objects)))

    def create(self) -> None:
        """Create the bucket unless it exists."""
        with translated(f"bucket {self._name!r}"):
            try:
                self._client.make_bucket(self._name)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise

    def probe(self) -> None:
        """Return when the server answers within `PROBE_S`."""
        with translated(f"store {self._endpoint}"):
            self._prober.bucket_exists(self._name)

    def close(self) -> None:
        self._pool.clear()
        self._probe_pool.clear()

    def _object_name(self, key: str) -> str:
        return self._prefix + checked_key(key)

    def _signed_url(self, method: str, name: str) -> str:
        return self._client.get_presigned_url(method, self._name, name, expires=_SIGNATURE_VALID)


def etag_of(headers: HTTPHeaderDict) -> str:
    """Return the etag of an answer, without its quotes."""
    return headers.get("ETag", "").strip('"')


def _stated(etag: str) -> str:
    """Return the etag; raise `ValueError` for none, without which it was no S3 server that answered."""
    if not etag:
        raise ValueError("there is no etag")
    return etag


def _whole(entry: Object) -> Object:
    """Return what a server knows about an object; raise `ValueError` if it leaves out what every S3 server says."""
    if not entry.is_dir and (entry.size is None or entry.last_modified is None):
        raise ValueError("an object has a size and a time")
    return entry


def is_latest(version: Object) -> bool:
    """Say whether a version is the object as it is now. The SDK hands on the server's word."""
    return str(version.is_latest).lower() == "true"


class _Below(BaseURL):
    """URLs of a server whose API begins below a path. The path is signed like the rest, as other clients do it."""

    def __init__(self, endpoint: str, path: str, region: str) -> None:
        super().__init__(endpoint, region)
        self._path = path

    def build(self, **request: Any) -> SplitResult:
        url = super().build(**request)
        return url._replace(path=self._path + url.path)


def _pool(location: Location, connect_s: float, silence_s: float) -> urllib3.PoolManager:
    timeout = urllib3.Timeout(connect=connect_s, read=silence_s)
    return open_pools(location.endpoint, location.trusted, maxsize=MAX_CONNECTIONS, timeout=timeout, retries=False)


def _client(location: Location, pool: urllib3.PoolManager) -> Minio:
    parts = urlsplit(location.endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise InvalidParameters(
            f"S3 endpoint on {parts.hostname!r} is not usable; use http://host:port or https://host"
        )
    secure, region = parts.scheme == "https", location.region
    try:
        client = Minio(parts.netloc, secure=secure, region=region, http_client=pool, credentials=location.credentials)
    except ValueError as error:
        raise InvalidParameters(f"S3 endpoint {location.endpoint!r} is not usable: {error}") from error
    if path := parts.path.rstrip("/"):
        client._base_url = _Below(f"{parts.scheme}://{parts.netloc}", path, region)  # The SDK has no way in for it.
    if location.style != "auto":
        client._base_url.virtual_style_flag = location.style == "virtual"
    try:
        check_bucket_name(location.bucket, s3_check=client._base_url.is_aws_host)
    except ValueError as error:
        raise InvalidParameters(f"bucket {location.bucket!r} is not usable: {error}") from error
    return client
