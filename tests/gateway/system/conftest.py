"""Running systems, shared by the tests of the services: starting one takes seconds."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.running.jobs import JobOverHttp, create
from tests.running.processes import System, system
from tests.servers import S3Server

SETTINGS = {"FLSTORE_CACHE_BYTES": "64MiB", "FLSTORE_IDLE_SECONDS": "0", "FLSTORE_REFRESH_SECONDS": "0.3"}


@pytest.fixture(scope="session")
def on_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("on-directory")
    with system(str(folder / "store"), folder, {}, SETTINGS) as running:
        yield running


@pytest.fixture(scope="session")
def on_s3(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("on-s3")
    with system(f"s3://services/{uuid4().hex}", folder, s3_server.env, SETTINGS) as running:
        yield running


@pytest.fixture(params=["directory", "s3"])
def running(request: pytest.FixtureRequest) -> System:
    """A whole FLStore, over each kind of store in turn."""
    system: System = request.getfixturevalue(f"on_{request.param}")
    return system


@pytest.fixture
def job(running: System) -> JobOverHttp:
    """A job of its own, over each kind of store."""
    return create(running.http)


@pytest.fixture
def local_job(on_directory: System) -> JobOverHttp:
    """A job of its own, over a directory."""
    return create(on_directory.http)
