"""Problems become the errors they were; what may pass is tried again."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from flstore_core.client import FLStore
from flstore_core.client.retry import Backoff, send
from flstore_core.client.wire import Lost, Reply, Request
from flstore_core.errors import Busy, FLStoreError, InvalidParameters, NotFound, Unavailable, from_problem
from tests.client.conftest import Either
from tests.client.scripted import Script
from tests.servers import free_ports

STEADY = Backoff(retries=3, first=1.0, most=5.0, chance=lambda: 1.0)
OK = Reply(200, {}, bytearray(b"{}"))
BUSY = Reply(429, {}, bytearray(b'{"code": "busy"}'))


def tree(root: type[FLStoreError]) -> Iterator[type[FLStoreError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def attempts(*outcomes: Reply | Lost) -> tuple[list[float], Any]:
    """Drive a request through `outcomes`; return the waits before each attempt, and the answer or error."""
    flow = send(Request("GET", "/"), STEADY)
    waits = [next(flow).after]
    try:
        for outcome in outcomes:
            request = flow.send(outcome)
            waits += [request.after]
    except StopIteration as end:
        return waits, end.value
    except FLStoreError as error:
        return waits, error
    raise AssertionError("the flow asks for more than was given")


OF_THEIR_OWN_CODE = [kind for kind in tree(FLStoreError) if "code" in vars(kind)]


@pytest.mark.parametrize("kind", OF_THEIR_OWN_CODE, ids=lambda kind: kind.code)
def test_every_error_comes_back_as_its_own_class(kind: type[FLStoreError]) -> None:
    error = from_problem({"code": kind.code, "status": kind.status, "detail": "why", "tensor": "w", "type": "x"})
    assert type(error) is kind
    assert (error.detail, error.extensions) == ("why", {"tensor": "w"})


def test_a_code_of_a_newer_server_falls_back_on_its_status() -> None:
    assert type(from_problem({"code": "new", "status": 404, "title": "t"})) is NotFound


def test_hostile_fields_of_a_problem_are_only_extensions() -> None:
    error = from_problem({"code": "busy", "detail": "d", "self": 1, "__class__": 2})
    assert error.extensions == {"self": 1, "__class__": 2}


@pytest.mark.parametrize(("status", "kind"), [(502, Unavailable), (404, NotFound), (418, FLStoreError)])
def test_an_answer_of_a_proxy_is_shown(client: Either, script: Script, status: int, kind: type[FLStoreError]) -> None:
    script.reply_bytes(b"<html>who are you</html>", status)
    script.reply_bytes(b"<html>who are you</html>", status)
    with FLStore(script.url, retries=0) as single, pytest.raises(kind, match="who are you") as caught:
        single.jobs()
    assert type(caught.value) is kind


def test_field_errors_and_request_id_are_kept(client: Either, script: Script) -> None:
    script.problem(422, "invalid-parameters", "k is 0", errors=[{"field": "k"}], request_id="r-1")
    with pytest.raises(InvalidParameters, match="k is 0") as caught:
        client.run("j", "clustering", k=0)
    assert caught.value.extensions["errors"] == [{"field": "k"}]
    assert caught.value.extensions["request_id"] == "r-1"


def test_a_busy_server_is_asked_again(client: Either, script: Script) -> None:
    script.problem(503, "store-unavailable", "no store")
    script.reply({"jobs": []})
    assert client.jobs() == []
    assert len(script.seen) == 2


def test_waits_double_and_end() -> None:
    waits, error = attempts(BUSY, BUSY, BUSY, BUSY)
    assert waits == [0.0, 1.0, 2.0, 4.0]
    assert isinstance(error, Busy)
    assert error.extensions["attempts"] == 4


def test_the_server_may_ask_for_a_longer_wait_within_reason() -> None:
    patient, endless = ({"retry-after": text} for text in ("17", "999999"))
    waits, reply = attempts(Reply(503, patient, bytearray()), Reply(503, endless, bytearray()), OK)
    assert waits == [0.0, 17.0, 60.0]
    assert reply is OK


def test_jitter_stays_between_half_and_all() -> None:
    assert Backoff(first=1.0, chance=lambda: 0.0).wait(0, BUSY) == 0.5
    assert Backoff(first=1.0, chance=lambda: 1.0).wait(9, BUSY) == 5.0


def test_a_lost_connection_is_tried_again_but_silence_is_not() -> None:
    waits, reply = attempts(Lost("u", "reset"), OK)
    assert (len(waits), reply) == (2, OK)
    waits, error = attempts(Lost("u", "read timeout", timed_out=True))
    assert len(waits) == 1
    assert "longer timeout" in error.detail


def test_what_is_wrong_for_good_is_not_tried_again() -> None:
    waits, error = attempts(Reply(404, {}, bytearray(b'{"code": "not-found", "detail": "no"}')))
    assert (len(waits), type(error)) == (1, NotFound)


@contextmanager
def hanging_up(replies: list[bytes]) -> Iterator[str]:
    """Accept a connection for each reply, send it and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for reply in replies:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_a_reply_that_breaks_off_is_asked_for_again() -> None:
    whole = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"jobs": []}'.replace(b"11", b"12")
    with hanging_up([b"", whole[:-4], whole]) as url, FLStore(url) as client:
        assert client.jobs() == []


def test_where_nobody_listens_the_message_says_what_to_do() -> None:
    (port,) = free_ports(1)
    with FLStore(f"http://127.0.0.1:{port}", retries=0) as client, pytest.raises(Unavailable) as caught:
        client.jobs()
    assert f"http://127.0.0.1:{port} " in caught.value.detail
    assert "flstore up" in caught.value.detail
