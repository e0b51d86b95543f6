"""What the two transports do that the API cannot see: proxies, silence, closing, progress of downloads."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature

import pytest
import urllib3

from flstore_core.client import AsyncFLStore, FLStore
from flstore_core.client.api import Api
from flstore_core.client.endpoint import create_endpoint
from flstore_core.client.sync_client import _pools
from flstore_core.errors import Unavailable
from tests.client.scripted import Script

CALLS = [name for name in vars(Api) if not name.startswith("_")]


@pytest.mark.parametrize("transport", [FLStore, AsyncFLStore])
@pytest.mark.parametrize("name", CALLS)
def test_both_transports_have_every_call_with_its_signature_and_words(transport: type, name: str) -> None:
    method, call = getattr(transport, name), getattr(Api, name)
    assert (method.__name__, method.__doc__) == (name, call.__doc__)
    assert signature(method).parameters == signature(call).parameters
    answer = signature(call).return_annotation.__args__[-1]
    assert signature(method).return_annotation == (type(None) if answer is None else answer)


@contextmanager
def silent() -> Iterator[str]:
    """Accept connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_silence_ends_a_blocking_call_after_its_timeout() -> None:
    message = "did not answer in time"
    with silent() as url, FLStore(url, timeout=0.05) as client, pytest.raises(Unavailable, match=message):
        client.jobs()


async def test_silence_ends_an_awaited_call_after_its_timeout() -> None:
    with silent() as url:
        async with AsyncFLStore(url, timeout=0.05) as client:
            with pytest.raises(Unavailable, match="did not answer in time"):
                await client.jobs()


async def test_both_are_context_managers_and_report_downloads(script: Script) -> None:
    script.reply_bytes(b"x" * 1000)
    calls: list[tuple[int, int]] = []
    with FLStore(script.url) as client:
        client.download_raw("j", 1, "c", progress=lambda done, total: calls.append((done, total)))
    async with AsyncFLStore(script.url) as awaited:
        await awaited.download_raw("j", 1, "c", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1000, 1000), (1000, 1000)]


@pytest.mark.parametrize(
    ("environment", "proxied"),
    [
        ({}, False),
        ({"http_proxy": "http://proxy:3128"}, True),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "flstore.example"}, False),
        ({"https_proxy": "http://proxy:3128"}, False),
    ],
)
def test_the_environments_proxy_is_used_unless_it_excepts_the_address(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], proxied: bool
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    pools = _pools(create_endpoint("http://flstore.example:8080", None, 60.0))
    assert isinstance(pools, urllib3.ProxyManager) is proxied
    pools.clear()
