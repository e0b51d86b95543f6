"""The HTTP API in process: requests go to the application itself, over a world without sockets."""

from collections.abc import AsyncIterator

import httpx
import pytest

from services.gateway.app import create_app
from tests.gateway.world import World, world


def client_of(gateway: World) -> httpx.AsyncClient:
    """Return a client whose requests the gateway's application answers; unforeseen errors are answered, not raised."""
    transport = httpx.ASGITransport(create_app(gateway.state), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


@pytest.fixture
def gateway() -> World:
    return world()


@pytest.fixture
async def http(gateway: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(gateway) as client:
        yield client
