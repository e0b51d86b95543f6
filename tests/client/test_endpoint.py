"""Addresses, headers and timeouts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core import __version__
from flstore_core.client.bodies import Buffers
from flstore_core.client.endpoint import CONNECT_S, create_endpoint
from flstore_core.client.exchange import NoResponse, Request
from flstore_core.errors import InvalidParameters


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://flstore.example/", "https://flstore.example"),
        ("http://[::1]:80/fl//", "http://[::1]:80/fl"),
    ],
)
def test_a_url_loses_its_last_slash(url: str, base: str) -> None:
    assert create_endpoint(url, None, 60.0).url == base


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://", "http:///x", "http://[::1", "HTTP"])
def test_what_is_no_http_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(
        InvalidParameters, match=r"is not the URL of a gateway; write one such as http://127.0.0.1:8080"
    ):
        create_endpoint(url, None, 60.0)


@given(st.floats(0.001, 1000.0))
def test_a_connection_is_waited_for_five_seconds_at_most(silence_s: float) -> None:
    assert create_endpoint("http://x", None, silence_s).connect_s == min(silence_s, CONNECT_S)


def test_every_request_carries_version_token_and_length() -> None:
    endpoint = create_endpoint("http://x", "secret", 60.0)
    request = Request("PUT", "/", {"Content-Type": "text/plain"}, Buffers([memoryview(b"abc")]))
    assert endpoint.headers_for(request) == {
        "User-Agent": f"flstore/{__version__}",
        "Accept-Encoding": "identity",
        "Authorization": "Bearer secret",
        "Content-Type": "text/plain",
        "Content-Length": "3",
    }
    without = create_endpoint("http://x", None, 60.0).headers_for(Request("GET", "/"))
    assert without.keys() == {"User-Agent", "Accept-Encoding"}


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(create_endpoint("http://x", "secret", 60.0))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("HTTPConnectionPool(host='x', port=1): Max retries exceeded"), "Max retries exceeded"),
        (OSError("connection refused"), "connection refused"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_lost_request_is_told_without_the_librarys_words_around_it(error: Exception, reason: str) -> None:
    endpoint = create_endpoint("http://x", None, 60.0)
    assert endpoint.no_response(error, timed_out=True) == NoResponse("http://x", reason, timed_out=True)
