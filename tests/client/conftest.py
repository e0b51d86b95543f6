"""A scripted server, and both shells of the client behind one face."""

import asyncio
from collections.abc import Iterator
from inspect import isawaitable
from typing import Any

import pytest

from flstore_core.client import AsyncFLStore, FLStore
from tests.client.scripted import Script, scripted


class Either:
    """Calls a blocking or an asyncio client alike and waits for the answer."""

    def __init__(self, client: FLStore | AsyncFLStore, loop: asyncio.Runner) -> None:
        self._client = client
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            answer = getattr(self._client, name)(*args, **kwargs)
            return self._loop.run(_awaited(answer)) if isawaitable(answer) else answer

        return call


async def _awaited(answer: Any) -> Any:
    return await answer


@pytest.fixture(scope="session")
def served() -> Iterator[Script]:
    with scripted() as script:
        yield script


@pytest.fixture
def script(served: Script) -> Script:
    """The server, with nothing written down yet."""
    served.clear()
    return served


@pytest.fixture(params=[FLStore, AsyncFLStore])
def client(request: pytest.FixtureRequest, script: Script) -> Iterator[Either]:
    with asyncio.Runner() as loop:
        either = Either(request.param(script.url, token="secret", timeout=10.0), loop)
        yield either
        either.close()
