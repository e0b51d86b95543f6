"""Calls of backends: made again while that can help, and no longer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import NameResolutionError, NewConnectionError, ReadTimeoutError

from flstore_core.errors import Conflict, FLStoreError, InsufficientCapacity, StoreUnavailable, Unavailable
from flstore_core.shard.protocol import WORK_HEADER, Work
from services.common import logs
from services.common.startup import AGE_HEADER
from services.gateway.backends.calls import (
    Calls,
    decode,
    encode,
    read_answer,
    read_count,
    read_into_buffer,
    read_json,
    read_nothing,
)
from tests.fakes.clock import FakeTime
from tests.fakes.wire import FakeWire, Reply, Sent, read_whole

A, B = "http://a", "http://b"

Reader = Callable[[BaseHTTPResponse], Any]


def refused(sent: Sent) -> Reply:
    raise NewConnectionError(None, "connection refused")  # type: ignore[arg-type]


def problem(error: type[FLStoreError], detail: str = "no") -> Reply:
    return Reply.problem(error(detail, more=7))


class Scripted:
    """Answers with each of `replies` in turn, and with the last one from then on; None refuses the connection."""

    def __init__(self, *replies: Reply | None) -> None:
        self._replies = list(replies)

    def __call__(self, sent: Sent) -> Reply:
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return reply or refused(sent)


def calls_over(answer: Callable[[Sent], Reply], timeout_s: float = 60.0) -> tuple[Calls, FakeWire, FakeTime]:
    wire, time = FakeWire(answer), FakeTime()
    return Calls(timeout_s, time, wire), wire, time


def send(calls: Calls, *urls: str, **sent: Any) -> bytes:
    return calls.send("POST", urls, "/v1/map", read_whole, **sent)


def test_the_first_answer_is_returned_and_no_other_backend_asked() -> None:
    calls, wire, time = calls_over(Scripted(Reply(b"fine")))
    assert send(calls, A, B, body=b"message") == b"fine"
    assert [(sent.url, sent.body) for sent in wire.sent] == [("http://a/v1/map", b"message")]
    assert time.clock.pauses == []


def test_the_example_of_the_module() -> None:
    """The next of a slice's shards is asked at once; a whole turn without an answer is followed by a pause."""
    calls, wire, time = calls_over(lambda sent: refused(sent) if sent.url.startswith(A) else Reply(b"from b"))
    assert send(calls, A, B) == b"from b"
    assert time.clock.pauses == []
    calls, wire, time = calls_over(Scripted(None, None, None, None, None, Reply(b"from b")))
    assert send(calls, A, B) == b"from b"
    assert [sent.url[:8] for sent in wire.sent] == [A, B, A, B, A, B]
    assert time.clock.pauses == [0.05, 0.2]


def test_unavailable_is_raised_after_seven_turns() -> None:
    calls, wire, time = calls_over(Scripted(None))
    with pytest.raises(Unavailable, match="http://a, http://b does not answer POST /v1/map") as caught:
        send(calls, A, B)
    assert isinstance(caught.value.__cause__, NewConnectionError)
    assert len(wire.sent) == 14
    assert time.clock.pauses == [0.05, 0.2, 0.5, 1.0, 2.0, 2.0]


def test_a_call_without_addresses_is_refused_at_once() -> None:
    calls, _, time = calls_over(refused)
    with pytest.raises(Unavailable, match="no backend is known that could answer POST /v1/map"):
        send(calls)
    assert time.clock.pauses == []


def test_no_turn_begins_after_the_timeout() -> None:
    calls, wire, time = calls_over(refused, timeout_s=0.3)
    with pytest.raises(Unavailable):
        send(calls, A)
    assert (len(wire.sent), time.clock.pauses) == (3, [0.05, 0.2])


def test_a_call_that_timed_out_is_not_repeated() -> None:
    def hang(sent: Sent) -> Reply:
        time.clock.now += 60.0
        raise ReadTimeoutError(None, sent.url, "timed out")  # type: ignore[arg-type]

    calls, wire, time = calls_over(hang)
    with pytest.raises(Unavailable):
        send(calls, A)
    assert len(wire.sent) == 1


@pytest.mark.parametrize("error", [Conflict, InsufficientCapacity])
def test_an_error_that_no_retry_can_help_is_raised_at_once(error: type[FLStoreError]) -> None:
    calls, wire, _ = calls_over(Scripted(problem(error, "as it is")))
    with pytest.raises(error, match="as it is") as caught:
        send(calls, A, B)
    assert caught.value.extensions == {"more": 7}
    assert len(wire.sent) == 1


def test_a_retryable_error_is_tried_again() -> None:
    calls, _, time = calls_over(Scripted(problem(Unavailable), problem(Unavailable), Reply(b"fine")))
    assert send(calls, A) == b"fine"
    assert time.clock.pauses == [0.05, 0.2]


def test_the_last_error_of_a_backend_is_raised() -> None:
    calls, _, _ = calls_over(Scripted(None, problem(Unavailable, "too many slices at once")))
    with pytest.raises(Unavailable, match="too many slices at once"):
        send(calls, A)


def test_an_unreachable_store_is_raised_after_one_turn() -> None:
    """The shard has tried for long enough."""
    calls, wire, time = calls_over(Scripted(problem(StoreUnavailable)))
    with pytest.raises(StoreUnavailable):
        send(calls, A, B)
    assert (len(wire.sent), time.clock.pauses) == (2, [])


NOT_OURS = [
    Reply(b"", 404),
    Reply(b"", 421),
    Reply(b"<html>Bad gateway</html>", 502, {"Content-Type": "text/html"}),
    Reply(b"[1]", 503),
    Reply(b'{"type": "urn:flstore:problem:not-fo', 404, {"Content-Type": "application/problem+json"}),
    Reply.of({"code": "not-found", "message": "no Route matched"}, 404),
    Reply(b"", 302, {"Location": "http://elsewhere"}),
    Reply(b"fine", 399),
]


@pytest.mark.parametrize("reply", NOT_OURS, ids=lambda reply: reply.status)
def test_what_did_not_come_from_a_backend_is_asked_for_again_for_as_long_as_a_route_takes(reply: Reply) -> None:
    calls, wire, time = calls_over(Scripted(*[reply] * 14, Reply(b"fine")))
    assert send(calls, A) == b"fine"
    assert sum(time.clock.pauses) == 21.75
    calls, wire, _ = calls_over(Scripted(reply))
    with pytest.raises(Unavailable, match=f"http://a does not answer POST /v1/map: the server answered {reply.status}"):
        send(calls, A)
    assert len(wire.sent) == 15


def test_a_name_that_does_not_exist_yet_is_asked_for_again_for_as_long() -> None:
    def unnamed(sent: Sent) -> Reply:
        raise NameResolutionError("a", None, OSError("unknown"))  # type: ignore[arg-type]

    calls, wire, _ = calls_over(unnamed)
    with pytest.raises(Unavailable, match="http://a does not answer POST /v1/map"):
        send(calls, A)
    assert len(wire.sent) == 15


PAGE = Reply(b"<html>welcome</html>", 200, {"Content-Type": "text/html"})
GARBAGE = {WORK_HEADER: Work().to_header(), "Content-Length": "3"}


@pytest.mark.parametrize(
    ("read", "reply"),
    [
        (read_answer, PAGE),
        (read_answer, Reply(b"", 200, {WORK_HEADER: "{"})),
        (read_into_buffer, PAGE),
        (read_into_buffer, Reply(b"abc", 200, {**GARBAGE, "Content-Length": "three"})),
        (read_into_buffer, Reply(b"abc", 200, {WORK_HEADER: Work().to_header()})),
        (read_into_buffer, Reply([b"a", b"bc"], 200, {**GARBAGE, "Content-Length": "4"})),
        (read_into_buffer, Reply([b"a", b"bc"], 200, {**GARBAGE, "Content-Length": "2"})),
        (read_json, PAGE),
        (read_json, Reply(b'{"jobs": [', 200, {"Content-Type": "application/json"})),
        (read_json, Reply.of([1])),
        (read_count("dropped"), Reply.of({"message": "ok"})),
        (read_nothing, PAGE),
        (read_nothing, Reply()),
        (lambda response: decode(read_answer(response)[0]), Reply(b"abc", 200, GARBAGE)),
    ],
)
def test_a_success_that_is_not_what_a_backend_answers_is_no_success(read: Reader, reply: Reply) -> None:
    calls, wire, _ = calls_over(Scripted(reply))
    with pytest.raises(Unavailable, match="http://a does not answer POST /v1/map"):
        calls.send("POST", [A], "/v1/map", read)
    assert len(wire.sent) > 1


def test_a_defect_of_a_backend_is_met_twice_and_is_not_passed_on_as_ours() -> None:
    calls, wire, _ = calls_over(Scripted(problem(FLStoreError, "a defect"), Reply(b"fine")))
    assert send(calls, A) == b"fine"
    calls, wire, _ = calls_over(Scripted(problem(FLStoreError, "a defect")))
    with pytest.raises(Unavailable, match="http://a does not answer POST /v1/map: a defect"):
        send(calls, A)
    assert len(wire.sent) == 2


def test_the_request_s_id_goes_along() -> None:
    token = logs._request_id.set("trace-1")
    try:
        calls, wire, _ = calls_over(Scripted(Reply()))
        send(calls, A, headers={"X-More": "1"})
    finally:
        logs._request_id.reset(token)
    assert wire.sent[0].headers == {"X-More": "1", "X-Request-Id": "trace-1"}


def test_answers_come_with_what_they_took() -> None:
    work = Work(hits=2, misses=1, bytes_touched=10, bytes_fetched=5, fetch_s=0.25, compute_s=0.5)
    body = bytes(range(256)) * 5000  # more than one chunk
    reply = Reply(body, headers={WORK_HEADER: work.to_header(), "Content-Length": str(len(body))})
    calls, _, _ = calls_over(Scripted(reply))
    assert calls.send("POST", [A], "/v1/statistics", read_answer) == (body, work)
    received, took = calls.send("POST", [A], "/v1/map", read_into_buffer)
    assert (bytes(received), took) == (body, work)


def test_messages_are_compact_json_of_finite_numbers() -> None:
    assert json.loads(encode({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
    assert encode({"a": 1}) == b'{"a":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(float("nan"))


def test_closing_closes_the_connections() -> None:
    calls, wire, _ = calls_over(refused)
    calls.close()
    assert wire.closed


@pytest.mark.parametrize(("age", "noted"), [("0.700", [(1.6, 0.7)]), ("", []), ("young", [])])
def test_how_long_an_attempt_took_and_how_old_the_process_was_is_noted(
    age: str, noted: list[tuple[float, float]]
) -> None:
    time, notes = FakeTime(), list[tuple[float, ...]]()

    def answer(sent: Sent) -> Reply:
        time.sleep(1.6)
        return Reply(b"fine", headers={AGE_HEADER: age} if age else {})

    calls = Calls(
        60.0, time, FakeWire(answer), note_age=lambda *seconds: notes.append(tuple(round(each, 3) for each in seconds))
    )
    assert send(calls, A) == b"fine"
    assert notes == noted
