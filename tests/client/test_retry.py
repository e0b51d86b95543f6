"""When the client repeats a request, and the pauses before."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.client.exchange import NoResponse, Request, Response
from flstore_core.client.retry import retry_for, send
from flstore_core.errors import Busy, FLStoreError, NotFound, StoreUnavailable, TooLarge, Unavailable
from tests.client.conversation import Sent, converse, ok, problem

STEADY = replace(retry_for(3), chance=lambda: 1.0)
BUSY = problem(429, "busy")
LOST = NoResponse("http://there", "connection reset")


def pauses(*outcomes: Response | NoResponse) -> list[float]:
    """Return the pause before each attempt that `outcomes` lead to; the last outcome ends them."""
    sent: list[Sent] = []
    converse(send(Request("GET", "/"), STEADY), *outcomes, sent=sent)
    return [request.delay_s for request in sent]


def test_pauses_double() -> None:
    assert pauses(BUSY, BUSY, BUSY, ok()) == [0.0, 0.2, 0.4, 0.8]


@given(st.floats(0.0, 1.0, exclude_max=True), st.integers(1, 12))
def test_chance_takes_at_most_half_of_a_pause_and_none_exceeds_five_seconds(chance: float, failures: int) -> None:
    sent: list[Sent] = []
    retry = replace(retry_for(failures), chance=lambda: chance)
    converse(send(Request("GET", "/"), retry), *[BUSY] * failures, ok(), sent=sent)
    for attempt, request in enumerate(sent[1:]):
        longest = min(5.0, 0.2 * 2**attempt)
        assert longest / 2 - 1e-9 <= request.delay_s <= longest


@pytest.mark.parametrize(
    ("header", "pause_s"),
    [("17", 17.0), ("999999", 60.0), ("0", 0.2), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.2), ("", 0.2), ("²", 0.2)],
)
def test_the_server_may_ask_for_a_longer_pause_within_reason(header: str, pause_s: float) -> None:
    assert pauses(Response(503, {"retry-after": header}, bytearray()), ok()) == [0.0, pause_s]


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (3, 4)])
def test_the_last_error_is_raised_with_the_number_of_attempts(retries: int, attempts: int) -> None:
    outcomes = [problem(503, "store-unavailable")] * (attempts - 1) + [BUSY]
    with pytest.raises(Busy) as caught:
        converse(send(Request("GET", "/"), retry_for(retries)), *outcomes)
    assert caught.value.extensions["attempts"] == attempts


def test_a_lost_connection_is_repeated_with_the_same_request() -> None:
    sent: list[Sent] = []
    request = Request("PUT", "/v1/jobs/j", {"content-type": "text/plain"})
    assert converse(send(request, STEADY), LOST, ok(1), sent=sent).body == b"1"
    first, second = sent
    assert second == replace(first, delay_s=0.2)


def test_silence_until_the_timeout_is_not_repeated() -> None:
    with pytest.raises(Unavailable, match=r"did not answer in time .*longer timeout") as caught:
        converse(send(Request("GET", "/"), STEADY), replace(LOST, timed_out=True))
    assert caught.value.extensions["attempts"] == 1


@pytest.mark.parametrize(
    ("response", "kind"),
    [(problem(404, "not-found"), NotFound), (Response(413, {}, bytearray(b"<html>too large")), TooLarge)],
)
def test_an_error_that_another_attempt_cannot_help_is_raised_at_once(
    response: Response, kind: type[FLStoreError]
) -> None:
    with pytest.raises(kind) as caught:
        converse(send(Request("GET", "/"), STEADY), response)
    assert caught.value.extensions["attempts"] == 1


def test_a_redirect_is_not_followed_but_asked_again() -> None:
    redirect = Response(302, {"location": "https://elsewhere/"}, bytearray())
    assert pauses(redirect, ok()) == [0.0, 0.2]
    with pytest.raises(Unavailable, match="the server answered 302 -> https://elsewhere/"):
        converse(send(Request("GET", "/"), STEADY), *[redirect] * 4)


HTML, JSON, BINARY = ({"content-type": kind} for kind in ("text/html", "application/json", "application/octet-stream"))


@pytest.mark.parametrize(
    ("flawed", "why"),
    [
        (Response(200, HTML, bytearray(b"<html>welcome")), "welcome .which is text/html.; is this FLStore's URL?"),
        (Response(200, {}, bytearray()), "without a body"),
        (Response(200, BINARY, bytearray()), "without a body"),
        (Response(200, JSON, bytearray(b'{"jobs": [')), "which is not JSON"),
        (Response(200, {**JSON, "content-type": "Text/Plain; charset=utf-8"}, bytearray(b"ok")), "text/plain"),
        (Response(200, {**BINARY, "etag": f'"{"0" * 64}"'}, bytearray(b"model")), "the SHA-256 9372c470.* not 0000"),
    ],
)
def test_a_success_that_is_no_whole_answer_of_a_gateway_is_asked_for_again(flawed: Response, why: str) -> None:
    assert pauses(flawed, ok()) == [0.0, 0.2]
    with pytest.raises(Unavailable, match=why) as caught:
        converse(send(Request("GET", "/"), STEADY), *[flawed] * 4)
    assert caught.value.extensions["attempts"] == 4


def test_an_answer_without_content_is_whole() -> None:
    assert pauses(Response(204, {}, bytearray())) == [0.0]


def test_the_count_begins_anew_with_every_request() -> None:
    unavailable = problem(503, StoreUnavailable.code)
    assert pauses(unavailable, ok()) == pauses(unavailable, ok()) == [0.0, 0.2]
