"""What S3 servers and libraries complain about, as the store's errors; and which of them are tried again."""

import io
import logging
from typing import Any

import pytest
import urllib3
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import MaxRetryError, ReadTimeoutError

from flstore_core.errors import FLStoreError, NotFound, PreconditionFailed, StoreFull, StoreUnavailable
from flstore_core.retry import Retry
from flstore_core.storage.s3.errors import (
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
from tests.fakes.clock import Clock

SECRET = "X-Amz-Signature=0123abcd"


def s3_error(status: int, code: str) -> S3Error:
    response = urllib3.HTTPResponse(status=status)
    fields: dict[str, Any] = {"code": code, "message": SECRET, "resource": "/b/k", "request_id": "1", "host_id": "2"}
    return S3Error(response, **fields)  # type: ignore[arg-type,unused-ignore]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchBucket", NoBucket),
        (404, "NoSuchKey", NotFound),
        (404, "", NotFound),
        (412, "PreconditionFailed", PreconditionFailed),
        (416, "InvalidRange", RangeBeyondEnd),
        (507, "", StoreFull),
        (500, "XMinioStorageFull", StoreFull),
        (403, "QuotaExceeded", StoreFull),
        (500, "InternalError", Transient),
        (503, "SlowDown", Transient),
        (501, "NotImplemented", StoreUnavailable),
        (429, "", Transient),
        (409, "ConditionalRequestConflict", Transient),
        (409, "OperationAborted", Transient),
        (400, "RequestTimeout", Transient),
        (403, "AccessDenied", StoreUnavailable),
        (301, "PermanentRedirect", StoreUnavailable),
    ],
)
def test_an_answer_becomes_an_error_by_its_status_and_code(status: int, code: str, kind: type[Exception]) -> None:
    assert type(refusal("object 'k'", status, code)) is kind
    with pytest.raises(kind) as caught, translated("object 'k'"):
        raise s3_error(status, code)
    assert SECRET not in str(caught.value)
    assert "object 'k'" in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        ServerError("html from a proxy", 502),
        InvalidResponseError(200, "text/html", SECRET),
        MaxRetryError(urllib3.HTTPConnectionPool("h"), f"/b/k?{SECRET}", None),
        ReadTimeoutError(urllib3.HTTPConnectionPool("h"), f"/b/k?{SECRET}", "silence"),
        ConnectionResetError(104, "reset"),
        OSError("no route"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_on_the_way_may_pass_and_shows_no_signature(error: Exception) -> None:
    with pytest.raises(Transient) as caught, translated("object 'k'"):
        raise error
    assert SECRET not in caught.value.detail
    assert caught.value.retryable


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(NotFound, match="mine"), translated("object 'k'"):
        raise NotFound("mine")


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"<Error><Code>NoSuchKey</Code></Error>", "NoSuchKey"), (b"", ""), (b"<html>", ""), (b"<Code>a b</Code>", "")],
)
def test_a_code_is_read_from_the_body(body: bytes, code: str) -> None:
    assert code_of(urllib3.HTTPResponse(io.BytesIO(body), preload_content=True)) == code


def test_an_operation_is_tried_until_it_works() -> None:
    clock = Clock()
    retry = Retry((1.0, 2.0), clock=clock, sleep=clock.sleep)
    outcomes: list[FLStoreError | str] = [Transient("first"), Transient("second"), "done"]

    def attempt() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, FLStoreError):
            raise outcome
        return outcome

    assert retrying(retry, attempt) == "done"
    assert clock.pauses == [1.0, 2.0]


@pytest.mark.parametrize("error", [NotFound("gone"), StoreFull("full"), StoreUnavailable("refused")])
def test_what_does_not_pass_is_raised_at_once(error: FLStoreError) -> None:
    clock = Clock()

    def attempt() -> None:
        raise error

    with pytest.raises(type(error)):
        retrying(Retry((1.0,), clock=clock, sleep=clock.sleep), attempt)
    assert clock.pauses == []


def test_the_last_attempt_tells_how_many_there_were_and_for_how_long() -> None:
    clock = Clock()
    attempts = Retry((1.0,), attempts=3, clock=clock, sleep=clock.sleep).begin()
    wait_after(Transient("busy"), attempts)
    wait_after(Transient("busy"), attempts)
    clock.now += 0.5
    with pytest.raises(StoreUnavailable, match=r"^busy \(3 tries in 2\.5 s\)$") as caught:
        wait_after(Transient("busy"), attempts)
    assert type(caught.value) is StoreUnavailable
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (("GET", f"/b/k?{SECRET}&x=1"), ("GET", "/b/k?X-Amz-Signature=…&x=1")),
        (("X-Amz-Credential=me/us X-Amz-Security-Token=t", 200), ("X-Amz-Credential=… X-Amz-Security-Token=…", 200)),
        ((), ()),
    ],
)
def test_signatures_are_cut_out_of_log_records(args: tuple[Any, ...], shown: tuple[Any, ...]) -> None:
    record = logging.LogRecord("urllib3", logging.DEBUG, "f", 1, "%s %s", args, None)
    assert HIDE_SIGNATURES.filter(record) is True
    assert record.args == shown


def test_a_record_without_a_tuple_of_arguments_is_left_alone() -> None:
    record = logging.LogRecord("urllib3", logging.DEBUG, "f", 1, "plain", None, None)
    assert HIDE_SIGNATURES.filter(record) is True
    assert record.getMessage() == "plain"
