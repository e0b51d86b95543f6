"""Objects in a bucket of MinIO, SeaweedFS, Amazon S3 or another server that speaks S3."""

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import cast
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from urllib3 import HTTPHeaderDict
from urllib3.response import BaseHTTPResponse

from flstore_core.errors import InvalidParameters, NotFound, PreconditionFailed, ShortObject, StoreUnavailable, TooLarge
from flstore_core.retry import Retry, growing
from flstore_core.storage.base import MIB, Body, ObjectInfo, checked_key, checked_prefix, folder_to_delete
from flstore_core.storage.s3errors import (
    HIDE_SIGNATURES,
    NoBucket,
    RangeBeyondEnd,
    Transient,
    code_of,
    refusal,
    retrying,
    translated,
    wait_after,
)

MAX_BODY_BYTES = 5 << 30
"""S3's own limit for one PUT."""

CONNECT_S = 5.0
"""Longest wait for a connection, and for room to send the next MiB on a fresh one."""
SILENCE_S = 10.0
"""Longest wait for the next bytes of an answer."""
PROBE_S = 2.0
"""Longest wait of a readiness check, connection and answer each."""
MAX_CONNECTIONS = 64
"""Connections kept open between requests; more are opened when needed."""

RETRY = Retry(growing(0.1, 2.0), jitter=1.0, give_up_s=10.0)
"""Full jitter, up to two seconds, so that a store that is back is found soon."""

_SIGNATURE_VALID = timedelta(minutes=15)
_READ = 256 << 10


class S3Store:
    """An `ObjectStore` over one bucket, made by the first put when it is missing.

    Bodies travel as one PUT with a presigned URL: the SDK's own put copies and hashes them first. They are sent in
    slices, because a socket's timeout bounds each send as a whole. A body over 5 GiB raises `TooLarge`.

    Connection errors, timeouts, 5xx and 429 are tried again (`retry`). When the answer to a conditional put
    was lost, the next attempt finds its own object in the way; it then counts as done if what is stored has the
    body's MD5 as etag. So after lost answers, and only then, two writers of identical bytes may both succeed.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        *,
        region: str = "us-east-1",
        prefix: str = "",
        retry: Retry = RETRY,
    ) -> None:
        """Check the arguments without asking the server. `prefix` is put before every key."""
        self._retry = retry
        self._bucket = bucket
        self._prefix = checked_prefix(prefix)
        self._endpoint = endpoint
        self._pool = _pool(CONNECT_S, SILENCE_S)
        self._probe_pool = _pool(PROBE_S, PROBE_S)
        self._client = _client(endpoint, access_key, secret_key, region, self._pool)
        self._prober = _client(endpoint, access_key, secret_key, region, self._probe_pool)
        self._signed_url("PUT", "any")  # refuses an impossible bucket name now
        logging.getLogger("urllib3.connectionpool").addFilter(HIDE_SIGNATURES)

    def __repr__(self) -> str:
        return f"S3Store({self._endpoint!r}, bucket={self._bucket!r}, prefix={self._prefix!r})"

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        name, view = self._name(key), memoryview(body).cast("B")
        if len(view) > MAX_BODY_BYTES:
            raise TooLarge(f"object {key!r} has {len(view)} bytes; one PUT takes up to {MAX_BODY_BYTES}")
        headers = {"Content-Length": str(len(view)), "Content-Type": "application/octet-stream"}
        if if_none_match:
            headers["If-None-Match"] = "*"
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        etag = self._put_until_sure(key, name, view, headers)
        return ObjectInfo(key, len(view), etag, time.time())

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            self.stat(key)
            return b""
        end = None if length is None else offset + length
        try:
            return self._read(key, offset, end)[0]
        except RangeBeyondEnd:
            return b""

    def get_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        data, headers = self._read(key)
        return data, _info(key, len(data), _etag(headers), parsedate_to_datetime(headers["Last-Modified"]))

    def read_into(self, key: str, buffer: memoryview, *, offset: int = 0) -> None:
        view = buffer.cast("B")
        if not view:
            if self.stat(key).size < offset:
                raise _short(key, 0, offset)
            return
        retrying(self._retry, lambda: self._fill(key, view, offset))

    def stream(self, key: str, *, offset: int = 0, length: int | None = None, chunk: int = MIB) -> Iterator[bytes]:
        if length == 0:
            self.stat(key)
            return
        end = None if length is None else offset + length
        etag: str | None = None
        attempts = self._retry.begin()
        while True:
            try:
                with suppress(RangeBeyondEnd), self._opened(key, offset, end) as response:
                    etag = _same_version(key, etag, _etag(response.headers))
                    for data in response.stream(chunk, decode_content=False):
                        yield data
                        offset += len(data)
                        attempts.succeeded()
                return
            except Transient as error:
                wait_after(error, attempts)

    def stat(self, key: str) -> ObjectInfo:
        def attempt() -> ObjectInfo:
            with translated(f"object {key!r}"):
                return _listed(key, self._client.stat_object(self._bucket, name))

        name = self._name(key)
        return retrying(self._retry, attempt)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        for found in self._found(prefix, recursive):
            if not found.is_dir:
                yield _listed(str(found.object_name).removeprefix(self._prefix), found)

    def folders(self, prefix: str = "") -> Iterator[str]:
        for found in self._found(prefix, recursive=False):
            if found.is_dir:
                yield str(found.object_name).rstrip("/").rpartition("/")[2]

    def delete(self, key: str) -> None:
        def attempt() -> None:
            with suppress(NotFound), translated(f"object {key!r}"):
                self._client.remove_object(self._bucket, name)

        name = self._name(key)
        retrying(self._retry, attempt)

    def delete_prefix(self, prefix: str) -> None:
        folder = folder_to_delete(prefix)

        def attempt() -> None:
            doomed = [DeleteObject(self._prefix + found.key) for found in self.list(folder)]
            with translated(f"folder {prefix!r}"):
                refused = [error.name for error in self._client.remove_objects(self._bucket, doomed)]
            if refused:
                raise Transient(f"folder {prefix!r}: the S3 server did not delete {len(refused)} of its objects")

        retrying(self._retry, attempt)

    def probe(self) -> None:
        with translated(f"store {self._endpoint}"):
            self._prober.bucket_exists(self._bucket)

    def close(self) -> None:
        self._pool.clear()
        self._probe_pool.clear()

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)

    def _signed_url(self, method: str, name: str) -> str:
        try:
            return self._client.get_presigned_url(method, self._bucket, name, expires=_SIGNATURE_VALID)
        except ValueError as error:
            raise InvalidParameters(f"bucket {self._bucket!r} is not usable: {error}") from error

    def _put_until_sure(self, key: str, name: str, view: memoryview, headers: dict[str, str]) -> str:
        attempts, unsure = self._retry.begin(), False
        while True:
            try:
                return self._put_once(key, name, view, headers)
            except NoBucket:
                self._make_bucket()
            except PreconditionFailed:
                if not unsure or self._etag_or_none(key) != (mine := _md5(view)):
                    raise
                return mine
            except Transient as error:
                unsure = True
                wait_after(error, attempts)

    def _put_once(self, key: str, name: str, view: memoryview, headers: dict[str, str]) -> str:
        what = f"object {key!r}"
        slices = [view[begin : begin + MIB] for begin in range(0, len(view), MIB)]
        with translated(what):
            body = cast("list[bytes]", slices)  # urllib3 sends any buffer, and annotates bytes
            response = self._pool.request("PUT", self._signed_url("PUT", name), body=body, headers=headers)
        if response.status == 200:
            return _etag(response.headers)
        error = refusal(what, response.status, code_of(response))
        if type(error) is NotFound:  # how Amazon answers If-Match on a missing object
            raise PreconditionFailed(f"{what} does not exist")
        raise error

    def _etag_or_none(self, key: str) -> str | None:
        try:
            return self.stat(key).etag
        except NotFound:
            return None

    def _make_bucket(self) -> None:
        def attempt() -> None:
            with translated(f"bucket {self._bucket!r}"):
                try:
                    self._client.make_bucket(self._bucket)
                except S3Error as error:
                    if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                        raise

        retrying(self._retry, attempt)

    @contextmanager
    def _opened(self, key: str, offset: int = 0, end: int | None = None) -> Iterator[BaseHTTPResponse]:
        """Open the bytes of `key` from `offset` up to `end`; the connection is reused only after a complete read."""
        name, length, complete = self._name(key), 0 if end is None else end - offset, False
        if length < 0:
            raise InvalidParameters(f"object {key!r} cannot be read from {offset} to {end}")
        with translated(f"object {key!r}"):
            response = self._client.get_object(self._bucket, name, offset, length)
            try:
                if (offset or length) and response.status != 206:
                    raise StoreUnavailable(f"object {key!r}: the S3 server ignores ranges")
                yield response
                complete = True
            finally:
                if not complete:
                    response.close()
                response.release_conn()

    def _read(self, key: str, offset: int = 0, end: int | None = None) -> tuple[bytes, HTTPHeaderDict]:
        def attempt() -> tuple[bytes, HTTPHeaderDict]:
            with self._opened(key, offset, end) as response:
                return response.read(decode_content=False), response.headers

        return retrying(self._retry, attempt)

    def _fill(self, key: str, view: memoryview, offset: int) -> None:
        try:
            with self._opened(key, offset, offset + len(view)) as response:
                done = 0
                while got := response.readinto(view[done : done + _READ]):
                    done += got
        except RangeBeyondEnd as error:
            raise _short(key, len(view), offset) from error
        if done < len(view):
            raise _short(key, len(view), offset)

    def _found(self, prefix: str, recursive: bool) -> Iterator[Object]:
        """Yield what a listing finds; after trouble go on behind the last name seen."""
        below = self._prefix + checked_prefix(prefix)
        last: str | None = None
        attempts = self._retry.begin()
        while True:
            try:
                with suppress(NoBucket), translated(f"folder {prefix!r}"):
                    for found in self._client.list_objects(self._bucket, below, recursive, start_after=last):
                        yield found
                        last = found.object_name
                        attempts.succeeded()
                return
            except Transient as error:
                wait_after(error, attempts)


def _pool(connect_s: float, silence_s: float) -> urllib3.PoolManager:
    timeout = urllib3.Timeout(connect=connect_s, read=silence_s)
    return urllib3.PoolManager(maxsize=MAX_CONNECTIONS, timeout=timeout, retries=False, cert_reqs="CERT_REQUIRED")


def _client(endpoint: str, access_key: str, secret_key: str, region: str, pool: urllib3.PoolManager) -> Minio:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path.strip("/"):
        raise InvalidParameters(
            f"S3 endpoint on {parts.hostname!r} is not usable; use http://host:port or https://host"
        )
    try:
        return Minio(
            parts.netloc, access_key, secret_key, secure=parts.scheme == "https", region=region, http_client=pool
        )
    except ValueError as error:
        raise InvalidParameters(f"S3 endpoint {endpoint!r} is not usable: {error}") from error


def _etag(headers: HTTPHeaderDict) -> str:
    return headers.get("ETag", "").strip('"')


def _md5(view: memoryview) -> str:
    return hashlib.md5(view, usedforsecurity=False).hexdigest()


def _same_version(key: str, expected: str | None, etag: str) -> str:
    if expected not in (None, etag):
        raise StoreUnavailable(f"object {key!r} was replaced while it was read; read it again")
    return etag


def _short(key: str, length: int, offset: int) -> ShortObject:
    return ShortObject(f"object {key!r} ends before the {length} bytes from {offset} that were to be read")


def _info(key: str, size: int, etag: str, modified: datetime) -> ObjectInfo:
    return ObjectInfo(key, size, etag, modified.timestamp())


def _listed(key: str, found: Object) -> ObjectInfo:
    assert found.size is not None
    assert found.last_modified is not None
    return _info(key, found.size, str(found.etag), found.last_modified)
