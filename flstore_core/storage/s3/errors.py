"""Errors of S3 servers, the `minio` SDK and urllib3 as the store's own, and which of them are tried again."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from xml.etree.ElementTree import ParseError

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from flstore_core.errors import FLStoreError, NotFound, PreconditionFailed, StoreFull, StoreUnavailable
from flstore_core.retry import Attempts, Retry
from flstore_core.storage.s3.sdk import MinioException, S3Error, ServerError

T = TypeVar("T")

_CODE = re.compile(rb"<Code>(\w+)</Code>")
_FULL = {"XMinioStorageFull", "InsufficientStorage", "InsufficientCapacity", "QuotaExceeded"}
_PASSING = {"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown"}


UNREADABLE = (ParseError, ValueError, LookupError, TypeError, AttributeError)
"""What the SDK and we raise where an answer is not what an S3 server says: damaged XML, a missing header, a page."""


class Transient(StoreUnavailable):
    """Trouble that may be over at the next attempt."""


class RangeBeyondEnd(Exception):
    """The object ends before the range asked for begins."""


class NoBucket(NotFound):
    """The bucket does not exist, so nothing in it does."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise this project's error, naming `what`, in place of the SDK's or urllib3's."""
    try:
        yield
    except S3Error as error:
        raise refusal(what, error.response.status, error.code or "") from error
    except ServerError as error:
        raise refusal(what, error.status_code, "") from error
    except (MinioException, HTTPError, OSError, *UNREADABLE) as error:
        # Only the class is named: these messages may carry signed URLs.
        raise Transient(f"{what}: the S3 server gave no usable answer: {type(error).__name__}") from error


def code_of(response: BaseHTTPResponse) -> str:
    """Return the S3 error code in the body of a failed request, or ""."""
    match = _CODE.search(response.data)
    return match[1].decode() if match else ""


def refusal(what: str, status: int, code: str) -> FLStoreError | RangeBeyondEnd:
    """Return the error for an answer with an HTTP `status` and an S3 error `code`."""
    if code == "NoSuchBucket":
        return NoBucket(f"{what} does not exist, nor does its bucket")
    if status == 404:
        return NotFound(f"{what} does not exist")
    if status == 412:
        return PreconditionFailed(f"{what} is not in the expected state: it exists, or has another etag")
    if status == 416:
        return RangeBeyondEnd(what)
    if status == 507 or code in _FULL:
        return StoreFull(f"{what} could not be written: the S3 server has no space left")
    if status == 501:
        return StoreUnavailable(f"{what}: the S3 server does not know how to do this ({code or 501})")
    if status >= 500 or status == 429 or code in _PASSING:
        return Transient(f"{what}: the S3 server answered {status} {code}".rstrip())
    return StoreUnavailable(
        f"{what}: the S3 server refused with {status} {code}; check bucket, credentials and their rights"
    )


def retrying(retry: Retry, attempt: Callable[[], T]) -> T:
    """Return what `attempt()` returns, calling it again while it raises `Transient`."""
    attempts = retry.begin()
    while True:
        try:
            return attempt()
        except Transient as error:
            wait_after(error, attempts)


def wait_after(error: Transient | NoBucket, attempts: Attempts) -> None:
    """Pause before the next attempt; raise `StoreUnavailable` when `error` ended the last one."""
    if not attempts.failed():
        raise StoreUnavailable(f"{error.detail} ({attempts.failures} tries in {attempts.spent_s:.1f} s)") from error
    attempts.wait()


class HideSignatures(logging.Filter):
    """Takes the signature out of the request lines urllib3 logs when debugging."""

    _signed = re.compile(r"(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s]+")

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(self._signed.sub(r"\1…", a) if isinstance(a, str) else a for a in record.args)
        return True


HIDE_SIGNATURES = HideSignatures()
