"""A gateway behind a door, for each test a new one."""

from collections.abc import Iterator

import pytest

from tests.integrations.door import Door, door


@pytest.fixture
def behind() -> Iterator[Door]:
    with door() as it:
        yield it
