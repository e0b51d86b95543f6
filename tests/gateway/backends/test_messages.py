"""What shards, predictors and caches are sent, and what is made of their answers."""

import json
import logging
from typing import Any

import numpy as np
import pytest

from flstore_core import codec
from flstore_core.errors import Conflict, OperationCancelled, RunTooLong, Unavailable
from flstore_core.ids import ClientId, JobId, ShardId
from flstore_core.model_names import ModelName
from flstore_core.models.protocol import STREAM_TYPE, ModelRef, RunRequest
from flstore_core.patterns import Pattern
from flstore_core.shard.protocol import (
    MESSAGE_HEADER,
    WINDOW_HEADER,
    WORK_HEADER,
    CommitMessage,
    MapRequest,
    MemberRef,
    SliceRef,
    StatisticsRequest,
    UploadMessage,
    Work,
)
from flstore_core.statistics import RoundStatistics
from services.gateway.backends.caches import Caches
from services.gateway.backends.calls import Calls
from services.gateway.backends.predictors import Predictors
from services.gateway.backends.shards import Shards
from tests.fakes.clock import FakeTime
from tests.fakes.wire import FakeWire, Reply, Sent

PART = SliceRef(JobId("job"), "digest", 2, 1)
MEMBER = MemberRef(3, ClientId("c"), "hash", 80, 10.0)
BASE = MemberRef(2, ClientId("aggregate"), "base hash", 64)
WORK = Work(hits=1, misses=2, bytes_touched=3, bytes_fetched=4, fetch_s=0.5, compute_s=0.25)
PARTIAL = {"sums": np.arange(6, dtype=np.float64).reshape(2, 3)}
RUN = RunRequest(
    JobId("job"), "digest", "program", {"test": "hash"}, "evaluate", Pattern.P2, {"dataset": "test"},
    (ModelRef(ModelName(3, ClientId("c")), "hash", 80, 10.0),),
)  # fmt: skip


def answered(body: bytes, **headers: str) -> Reply:
    return Reply(body, headers={WORK_HEADER: WORK.to_header(), "Content-Length": str(len(body)), **headers})


def wired(reply: Reply) -> tuple[Calls, FakeWire]:
    wire = FakeWire(lambda sent: reply)
    return Calls(60.0, FakeTime(), wire), wire


def test_a_slice_goes_to_every_one_of_its_shards() -> None:
    calls, wire = wired(Reply.of({"admitted": True}))
    pieces = [memoryview(b"abc"), memoryview(np.array([1.0]).tobytes())]
    Shards(calls).put_slice(["http://a", "http://b"], PART, MEMBER, BASE, pieces)
    assert [(sent.method, sent.url) for sent in wire.sent] == [
        ("PUT", "http://a/v1/slices"),
        ("PUT", "http://b/v1/slices"),
    ]
    for sent in wire.sent:
        assert sent.body == b"abc" + np.array([1.0]).tobytes()
        assert sent.headers["Content-Length"] == "11"
        message = UploadMessage.from_json(json.loads(sent.headers[MESSAGE_HEADER]))
        assert message == UploadMessage(PART, MEMBER, BASE)


def test_a_slice_s_statistics_come_back_with_their_work() -> None:
    statistics = RoundStatistics((ClientId("c"),), np.array([[2.0]]), np.array([[2.0]]))
    calls, wire = wired(answered(statistics.to_bytes()))
    received, work = Shards(calls).statistics(["http://a"], StatisticsRequest(PART, (MEMBER,), None))
    assert (received.members, received.gram.tolist(), work) == (("c",), [[2.0]], WORK)
    assert wire.sent[0].url == "http://a/v1/statistics"
    assert StatisticsRequest.from_json(wire.sent[0].message) == StatisticsRequest(PART, (MEMBER,), None)


@pytest.mark.parametrize("body", [b"damaged", codec.dumps(PARTIAL), b""])
def test_damaged_statistics_are_asked_for_again_and_unavailable_in_the_end(body: bytes) -> None:
    calls, wire = wired(answered(body))
    with pytest.raises(Unavailable, match="http://a does not answer POST /v1/statistics"):
        Shards(calls).statistics(["http://a"], StatisticsRequest(PART, (MEMBER,), None))
    assert len(wire.sent) > 1


def test_a_slice_s_partial_comes_back_with_its_work() -> None:
    calls, wire = wired(answered(codec.dumps(PARTIAL)))
    request = MapRequest(PART, "aggregate", Pattern.P2, {"round": 3}, (MEMBER,), BASE, ((0.5, 0.5),))
    (partial,), work = Shards(calls).map(["http://a", "http://b"], request, 9)
    np.testing.assert_array_equal(partial["sums"], PARTIAL["sums"])
    assert work == WORK
    assert [sent.url for sent in wire.sent] == ["http://a/v1/map"]
    assert MapRequest.from_json(wire.sent[0].message) == request


def mapped(*windows: str) -> tuple[list[Reply], MapRequest]:
    """Return answers of maps over these windows, or over the whole slice, and the request of elements 6 and on."""
    replies = []
    for window in windows:
        body = codec.dumps({"window": np.frombuffer(window.encode() or b"whole", np.uint8)})
        replies.append(answered(body, **({WINDOW_HEADER: window} if window else {})))
    return replies, MapRequest(PART, "aggregate", Pattern.P2, {}, (MEMBER,), None, start=6)


def map_all(replies: list[Reply], request: MapRequest) -> tuple[list[str], Work, list[int], list[int | None]]:
    """Return which windows the partials are of, the work, how far was told, and from where on it was asked."""
    reached: list[int] = []
    left = list(replies)
    wire = FakeWire(lambda sent: left.pop(0))
    partials, work = Shards(Calls(60.0, FakeTime(), wire)).map(["http://a"], request, 12, reached.append)
    asked = [MapRequest.from_json(sent.message).start for sent in wire.sent]
    return [bytes(partial["window"]).decode() for partial in partials], work, reached, asked


def test_a_slice_is_asked_for_window_by_window_until_its_end() -> None:
    windows, work, reached, asked = map_all(*mapped("6-8", "8-11", "11-12"))
    assert windows == ["6-8", "8-11", "11-12"]
    assert work == WORK + WORK + WORK
    assert (reached, asked) == ([8, 11, 12], [6, 8, 11])


def test_a_whole_slice_takes_the_place_of_windows_from_a_shard_that_knows_none() -> None:
    windows, *_, asked = map_all(*mapped("6-8", ""))
    assert (windows, asked) == (["whole"], [6, 8])


@pytest.mark.parametrize("window", ["7-9", "6-6", "6", "a-b", "8-6"])
def test_an_answer_of_another_window_is_asked_for_again(window: str) -> None:
    windows, *_, asked = map_all(*mapped(window, "6-12"))
    assert (windows, asked) == (["6-12"], [6, 6])


def test_every_shard_of_a_slice_hears_of_a_commit() -> None:
    calls, wire = wired(Reply(status=204))
    Shards(calls).committed(["http://a", "http://b"], PART, 3)
    assert [sent.url for sent in wire.sent] == ["http://a/v1/commits", "http://b/v1/commits"]
    assert CommitMessage.from_json(wire.sent[1].message) == CommitMessage(PART, 3)


def test_the_shards_behind_one_that_is_down_hear_of_a_commit_too() -> None:
    wire = FakeWire(lambda sent: Reply(status=204 if sent.url.startswith("http://b/") else 500))
    Shards(Calls(60.0, FakeTime(), wire)).committed(["http://a", "http://b"], PART, 3)
    assert wire.sent[-1].url == "http://b/v1/commits"


def test_a_cache_is_asked_what_it_holds_and_why() -> None:
    calls, wire = wired(Reply.of({"jobs": {}}))
    caches = Caches(calls)
    assert caches.inventory("http://a") == {"jobs": {}}
    assert caches.explain("http://a", "job/3/c/1") == {"jobs": {}}
    assert [(sent.method, sent.url) for sent in wire.sent] == [
        ("GET", "http://a/v1/inventory"),
        ("GET", "http://a/v1/cache/explain?key=job%2F3%2Fc%2F1"),
    ]


def test_a_backend_that_cannot_be_reached_keeps_no_other_from_forgetting(caplog: pytest.LogCaptureFixture) -> None:
    def answer(sent: Sent) -> Reply:
        return Reply.problem(Conflict("no")) if "//a" in sent.url else Reply.of({"dropped": 1})

    wire = FakeWire(answer)
    caches = Caches(Calls(60.0, FakeTime(), wire))
    urls = {ShardId("shard-a"): "http://a", ShardId("predictor-b"): "http://b"}
    with caplog.at_level(logging.WARNING):
        caches.forget_job(urls, JobId("job"))
        caches.forget_client(urls, JobId("job"), ClientId("c"))
    assert [(sent.method, sent.url) for sent in wire.sent] == [
        ("DELETE", "http://a/v1/jobs/job"),
        ("DELETE", "http://b/v1/jobs/job"),
        ("DELETE", "http://a/v1/jobs/job/clients/c"),
        ("DELETE", "http://b/v1/jobs/job/clients/c"),
    ]
    assert [(record.message, record.__dict__["shard"]) for record in caplog.records] == [
        ("backend did not forget", "shard-a")
    ] * 2


def test_a_short_run_is_answered_like_a_map() -> None:
    calls, wire = wired(answered(codec.dumps(PARTIAL)))
    partial, work = Predictors(calls).run(["http://p"], RUN, lambda done, total: None)
    np.testing.assert_array_equal(partial["sums"], PARTIAL["sums"])
    assert work == WORK
    assert wire.sent[0].url == "http://p/v1/run"
    assert RunRequest.from_json(wire.sent[0].message) == RUN


def line(**value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


LONG = b"".join([line(progress=[0, 4]), line(progress=[3, 4]), line(work=WORK.to_json()), codec.dumps(PARTIAL)])


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 23, 60, 10_000])
def test_a_long_run_tells_its_progress_wherever_its_chunks_end(size: int) -> None:
    calls, _ = wired(Reply(cut(LONG, size), headers={"Content-Type": STREAM_TYPE}))
    steps: list[tuple[int, int]] = []
    partial, work = Predictors(calls).run(["http://p"], RUN, lambda done, total: steps.append((done, total)))
    assert steps == [(0, 4), (3, 4)]
    np.testing.assert_array_equal(partial["sums"], PARTIAL["sums"])
    assert work == WORK


def test_a_long_run_that_fails_raises_its_problem() -> None:
    problem = {"status": 422, "code": "run-too-long", "detail": "after 3 of 4 models"}
    calls, wire = wired(Reply([line(progress=[3, 4]), line(problem=problem)], headers={"Content-Type": STREAM_TYPE}))
    with pytest.raises(RunTooLong, match="after 3 of 4 models"):
        Predictors(calls).run(["http://p"], RUN, lambda done, total: None)
    assert len(wire.sent) == 1


def test_a_long_run_that_breaks_off_is_begun_again() -> None:
    calls, wire = wired(Reply([line(progress=[3, 4])], headers={"Content-Type": STREAM_TYPE}))
    with pytest.raises(Unavailable, match="http://p does not answer POST /v1/run"):
        Predictors(calls).run(["http://p"], RUN, lambda done, total: None)
    assert len(wire.sent) == 7


def test_the_progress_callback_can_end_the_run() -> None:
    def cancel(done: int, total: int) -> None:
        raise OperationCancelled("enough")

    calls, wire = wired(Reply(cut(LONG, 50), headers={"Content-Type": STREAM_TYPE}))
    with pytest.raises(OperationCancelled):
        Predictors(calls).run(["http://p"], RUN, cancel)
    assert len(wire.sent) == 1


def test_a_predictor_s_own_refusal_is_raised() -> None:
    calls, _ = wired(Reply.problem(Conflict("another schema")))
    with pytest.raises(Conflict, match="another schema"):
        Predictors(calls).run(["http://p"], RUN, lambda done, total: None)
