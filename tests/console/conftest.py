"""A gateway in this process with a job, and browsers before a console that speaks to it."""

import json
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from nicegui.testing.user import User

from services.gateway.app import create_app
from tests.console.browsing import browsing, to
from tests.gateway.world import World, world

TOKENS = json.dumps([{"token": "all", "jobs": ["*"]}, {"token": "none", "jobs": ["nothing-*"]}])


@pytest.fixture
def gateway() -> World:
    """Two committed rounds of four clients, one of them an attacker, and an open round of two."""
    gateway = world()
    gateway.create(clients_per_round=4)
    for number in (0, 1):
        for index, seed in enumerate((1, 2, 3)):
            gateway.put(number, f"c{index}", seed, num_examples=10, loss=1.0 / (1 + number + index), accuracy=0.5)
        gateway.put(number, "enemy", 5000, num_examples=10, loss=9.0, accuracy=0.1)
        gateway.commit(number, metrics={"loss": 1.0 / (1 + number)})
    gateway.fill(2, 2)
    return gateway


@pytest.fixture
def app(gateway: World) -> FastAPI:
    return create_app(gateway.state)


@pytest.fixture
async def user(app: FastAPI) -> AsyncIterator[User]:
    """Yield a viewer of the gateway's console; a module may have a gateway of its own."""
    async with browsing(to(app)) as browser:
        yield browser
