"""A world for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kubernetes.world import World
from tests.kubernetes.world import world as begin


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with begin(tmp_path) as made:
        yield made
