"""Fixtures shared by all tests."""

from collections.abc import Iterator

import pytest

from tests.servers import S3Server, seaweedfs


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server, empty but for its own `ready` bucket; tests make buckets of their own."""
    with seaweedfs() as server:
        yield server
