"""What the S3 store promises beyond the contract: trouble on the wire, secrets, limits."""

import logging
import os
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from minio.credentials.providers import StaticProvider

from flstore_core.errors import (
    FLStoreError,
    InvalidParameters,
    NotFound,
    PreconditionFailed,
    StoreFull,
    StoreUnavailable,
    TooLarge,
)
from flstore_core.retry import Retry
from flstore_core.storage.s3 import RETRY, Location, S3Store, bucket
from flstore_core.storage.s3 import store as store_module
from flstore_core.storage.s3.errors import refusal
from tests.servers import S3Server, free_ports
from tests.storage.faults import (
    Fault,
    FaultyProxy,
    answer_503,
    deny_bucket,
    faulty,
    lose_answer,
    never_ending,
    reset_after,
    stay_silent,
)

BODY = os.urandom(3_000_000)
AT_ONCE = replace(RETRY, sleep=lambda _: None)


@contextmanager
def opened(
    server: S3Server, endpoint: str | None = None, retry: Retry = AT_ONCE, prefix: str = "unused"
) -> Iterator[S3Store]:
    with closing(
        S3Store(Location(endpoint or server.endpoint, "trouble", keys(server), prefix=prefix), retry)
    ) as store:
        yield store


def keys(server: S3Server) -> StaticProvider:
    return StaticProvider(server.access_key, server.secret_key)


@contextmanager
def behind(server: S3Server, *faults: Fault) -> Iterator[tuple[S3Store, S3Store, FaultyProxy]]:
    """Yield a store that meets `faults`, one that meets none over the same objects, and the proxy between."""
    prefix = uuid4().hex
    with faulty(server.endpoint, *faults) as proxy, opened(server, prefix=prefix) as sound:
        sound.put("exists", BODY)
        with opened(server, proxy.endpoint, prefix=prefix) as store:
            yield store, sound, proxy


def test_the_first_put_makes_the_bucket_and_nothing_else_needs_it(s3_server: S3Server) -> None:
    with closing(S3Store(Location(s3_server.endpoint, f"new-{uuid4().hex}", keys(s3_server)))) as store:
        store.probe()
        assert not list(store.list())
        assert not list(store.folders())
        store.delete("k")
        store.delete_prefix("a")
        asks: list[Callable[[str], object]] = [
            store.get,
            store.stat,
            store.get_with_info,
            lambda k: next(store.stream(k)),
        ]
        for ask in asks:
            with pytest.raises(NotFound):
                ask("k")
        with pytest.raises(PreconditionFailed):
            store.put("k", b"1", if_match="abc")
        store.put("k", b"1", if_none_match=True)
        assert store.get("k") == b"1"


@pytest.mark.parametrize("fault", [answer_503, lose_answer, reset_after(40)])
def test_a_put_is_tried_again(s3_server: S3Server, fault: Fault) -> None:
    with behind(s3_server, fault, fault) as (store, sound, proxy):
        store.put("k", BODY)
        assert proxy.connections == 3
        assert sound.get("k") == BODY


@pytest.mark.parametrize("fault", [answer_503, lose_answer, reset_after(40), reset_after(1_000_000)])
def test_reads_are_tried_again(s3_server: S3Server, fault: Fault) -> None:
    with behind(s3_server, *[fault] * 2) as (store, _, proxy):
        assert store.get("exists") == BODY
        assert proxy.connections == 3
    with behind(s3_server, *[fault] * 2) as (store, _, proxy):
        buffer = memoryview(bytearray(len(BODY) - 9))
        store.read_into("exists", buffer, offset=9)
        assert buffer == BODY[9:]
        assert proxy.connections == 3


def test_a_stream_goes_on_where_it_broke(s3_server: S3Server) -> None:
    with behind(s3_server, *[reset_after(1_000_000)] * 4) as (store, _, proxy):
        assert b"".join(store.stream("exists", offset=10, chunk=100_000)) == BODY[10:]
        assert proxy.connections > 3


def test_trouble_behind_the_last_byte_of_a_range_adds_nothing_to_it(s3_server: S3Server) -> None:
    with behind(s3_server) as (_, sound, _):
        etag = sound.stat("exists").etag
    with behind(s3_server, never_ending(BODY[10:60], etag)) as (store, _, proxy):
        assert b"".join(store.stream("exists", offset=10, length=50)) == BODY[10:60]
        assert proxy.connections == 1


def test_a_server_that_denies_the_bucket_it_has_made_is_given_up(s3_server: S3Server) -> None:
    with behind(s3_server, *[deny_bucket] * 8) as (_, sound, proxy):
        location = Location(proxy.endpoint, "trouble", keys(s3_server), prefix="denied")
        with (
            closing(S3Store(location, replace(AT_ONCE, attempts=3))) as store,
            pytest.raises(StoreUnavailable, match=r"object 'k' does not exist, nor does its bucket \(3 tries"),
        ):
            store.put("k", b"1")
        assert proxy.unused_faults == 1, "four puts, three makings of the bucket"
        assert [info.key for info in sound.list()] == ["exists"]


@pytest.mark.parametrize("end", [3, 2])
def test_an_empty_range_never_becomes_the_whole_object(s3_server: S3Server, end: int) -> None:
    location = Location(s3_server.endpoint, "trouble", keys(s3_server))
    with closing(bucket.Bucket(location)) as raw, pytest.raises(InvalidParameters, match=f"from 3 to {end}"):
        raw.opened("k", 3, end).__enter__()


def test_a_stream_never_mixes_two_versions(s3_server: S3Server) -> None:
    with behind(s3_server, reset_after(1_000_000)) as (store, sound, _):
        chunks = store.stream("exists", chunk=100_000)
        next(chunks)
        sound.put("exists", BODY[::-1])
        with pytest.raises(StoreUnavailable, match="replaced while it was read"):
            list(chunks)


@pytest.mark.parametrize("fault", [answer_503, lose_answer, reset_after(600)])
def test_small_requests_are_tried_again(s3_server: S3Server, fault: Fault) -> None:
    with behind(s3_server, fault) as (store, _, _):
        assert store.stat("exists").size == len(BODY)
    with behind(s3_server, fault) as (store, _, proxy):
        assert [info.key for info in store.list()] == ["exists"]
        assert proxy.unused_faults == 0
    with behind(s3_server, fault) as (store, sound, _):
        store.delete("exists")
        assert list(sound.list()) == []


def test_a_create_whose_answer_was_lost_succeeded(s3_server: S3Server) -> None:
    with behind(s3_server, lose_answer) as (store, sound, proxy):
        info = store.put("new", BODY, if_none_match=True)
        found = sound.stat("new")
        assert (info.key, info.size, info.etag) == (found.key, found.size, found.etag)
        assert proxy.connections > 1


def test_a_create_after_a_lost_answer_does_not_claim_what_others_wrote(s3_server: S3Server) -> None:
    with behind(s3_server, lose_answer) as (store, sound, _):
        with pytest.raises(PreconditionFailed):
            store.put("exists", b"other bytes", if_none_match=True)
        assert sound.get("exists") == BODY


def test_a_swap_whose_answer_was_lost_succeeded(s3_server: S3Server) -> None:
    with behind(s3_server, lose_answer) as (store, sound, _):
        swapped = store.put("exists", b"new", if_match=sound.stat("exists").etag)
        assert swapped.etag == sound.stat("exists").etag
        assert sound.get("exists") == b"new"


def test_a_lost_listing_page_is_asked_for_again(s3_server: S3Server) -> None:
    with behind(s3_server, reset_after(2000)) as (store, sound, _):
        wanted = sorted(["exists", *(f"many/{number}" for number in range(40))])
        for key in wanted[1:]:
            sound.put(key, b"")
        assert sorted(info.key for info in store.list()) == wanted


def test_an_unreachable_store_is_given_up_in_time(s3_server: S3Server) -> None:
    now, pauses = [0.0], []

    def sleep(pause: float) -> None:
        pauses.append(pause)
        now[0] += pause

    retry = replace(RETRY, clock=lambda: now[0], sleep=sleep, chance=lambda: 1.0)
    with opened(s3_server, f"http://127.0.0.1:{free_ports(1)[0]}", retry) as store:
        with pytest.raises(StoreUnavailable, match=r"object 'k'.*9 tries in 9\.1 s") as caught:
            store.put("k", BODY)
        assert caught.value.retryable
        with pytest.raises(StoreUnavailable):
            store.probe()
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0])


def test_a_silent_store_is_given_up(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "SILENCE_S", 0.1)
    monkeypatch.setattr(bucket, "PROBE_S", 0.1)
    retry = replace(RETRY, give_up_s=0.3)
    with faulty(s3_server.endpoint, *[stay_silent] * 9) as proxy, opened(s3_server, proxy.endpoint, retry) as store:
        for ask in [lambda: store.get("k"), lambda: store.put("k", BODY), store.probe]:
            with pytest.raises(StoreUnavailable, match="TimeoutError"):
                ask()


def test_wrong_credentials_are_refused_at_once_and_stay_secret(s3_server: S3Server) -> None:
    nobody = StaticProvider("nobody", "hidden-word")
    with closing(S3Store(Location(s3_server.endpoint, "some-bucket", nobody), AT_ONCE)) as store:
        for ask in [lambda: store.put("k", b""), lambda: store.get("k"), store.probe]:
            with pytest.raises(StoreUnavailable, match="check bucket, credentials") as caught:
                ask()
            assert "hidden-word" not in "".join(traceback.format_exception(caught.value))
        assert "hidden-word" not in repr(store)
        assert "nobody" not in repr(store)


@pytest.mark.parametrize("fault", [None, answer_503, lose_answer, reset_after(40)])
def test_signatures_reach_neither_logs_nor_errors(
    s3_server: S3Server, caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    caplog.set_level(logging.DEBUG)
    told, retry = "", replace(RETRY, give_up_s=0.0 if fault else 10.0)
    faults = [fault] * 3 if fault else []
    with faulty(s3_server.endpoint, *faults) as proxy, opened(s3_server, proxy.endpoint, retry) as store:
        try:
            store.put("k", BODY)
        except FLStoreError as error:
            told = "".join(traceback.format_exception(error))
    assert bool(told) == bool(fault)
    # Whatever else was imported may hide signatures too, and in words of its own.
    hidden = re.findall(r"X-Amz-Signature=(?:…|\[REDACTED\])", caplog.text)
    assert bool(hidden) == (fault in (None, answer_503))
    for text in [told, caplog.text]:
        assert "X-Amz-Signature=" not in re.sub(r"X-Amz-Signature=(?:…|\[REDACTED\])", "", text)
        assert s3_server.access_key not in text


@pytest.mark.parametrize("endpoint", ["", "127.0.0.1:9", "ftp://h", "http://", "http://h?a=1", "http://u:pw@h"])
def test_unusable_endpoints_are_refused(endpoint: str) -> None:
    with pytest.raises(InvalidParameters, match="endpoint") as caught:
        S3Store(Location(endpoint, "bucket", StaticProvider("a", "b")))
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "x", "UPPER_case!", "a/b", "../.."])
def test_unusable_buckets_are_refused(name: str) -> None:
    with pytest.raises(InvalidParameters, match="bucket"):
        S3Store(Location("http://127.0.0.1:9", name, StaticProvider("a", "b")))


def test_a_body_beyond_one_put_is_refused(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_BODY_BYTES", 10)
    with opened(s3_server) as store, pytest.raises(TooLarge, match="11 bytes"):
        store.put("k", bytes(11))


@pytest.mark.parametrize(("status", "code"), [(507, ""), (507, "XMinioStorageFull"), (403, "QuotaExceeded")])
def test_a_full_server_is_told_and_not_asked_again(status: int, code: str) -> None:
    error = refusal("object 'k'", status, code)
    assert type(error) is StoreFull
    assert not error.retryable
