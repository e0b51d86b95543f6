"""An unsuccessful response becomes the error that the server raised; a broken connection becomes one that says so."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flstore_core.client import FLStore
from flstore_core.client.exchange import Response
from flstore_core.client.problems import error_from
from flstore_core.errors import (
    FLStoreError,
    Forbidden,
    InvalidParameters,
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable,
    from_problem,
)
from tests.client.conftest import Either
from tests.client.scripted import Script
from tests.servers import free_ports


def tree(root: type[FLStoreError]) -> Iterator[type[FLStoreError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


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


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (502, Unavailable),
        (404, Unavailable),
        (421, Unavailable),
        (308, Unavailable),
        (500, Unavailable),
        (401, Unauthorized),
        (403, Forbidden),
        (413, TooLarge),
    ],
)
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


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"{", b"\xff\xfe"])
def test_a_response_that_is_no_problem_is_shown_as_it_is(body: bytes) -> None:
    error = error_from(Response(502, {}, bytearray(body)))
    assert type(error) is Unavailable
    assert error.detail == f"the server answered 502 {body.decode(errors='replace')}".rstrip()


def test_only_the_beginning_of_a_long_page_is_shown() -> None:
    assert error_from(Response(404, {}, bytearray(b"x" * 10_000))).detail.count("x") == 200


def test_the_requests_id_is_taken_from_the_header_if_the_problem_lacks_it() -> None:
    headers = {"x-request-id": "from-header"}
    assert error_from(Response(404, headers, bytearray(b"{}"))).extensions["request_id"] == "from-header"
    named = bytearray(b'{"type": "urn:flstore:problem:not-found", "request_id": "from-problem"}')
    assert error_from(Response(404, headers, named)).extensions["request_id"] == "from-problem"


@pytest.mark.parametrize("body", [{"status": "error"}, {"status": ["error"]}, [1]])
def test_a_proxys_503_is_asked_again_whatever_its_body_says(client: Either, script: Script, body: object) -> None:
    script.reply(body, 503)
    script.reply({"jobs": []})
    assert client.jobs() == []
    assert len(script.seen) == 2


def test_a_busy_server_is_asked_again(client: Either, script: Script) -> None:
    script.problem(503, "store-unavailable", "no store")
    script.reply({"jobs": []})
    assert client.jobs() == []
    assert len(script.seen) == 2


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
