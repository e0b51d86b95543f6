"""Two gateways, each with a store of its own: where a job is, and where it is to be."""

from collections.abc import Iterator

import pytest

from tests.integrations.door import Door, door


@pytest.fixture
def laptop() -> Iterator[Door]:
    with door() as it:
        yield it


@pytest.fixture
def cluster() -> Iterator[Door]:
    with door() as it:
        yield it
