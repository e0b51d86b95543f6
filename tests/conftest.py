"""Fixtures shared by all tests, and which tests need programs that do not come from PyPI."""

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import S3Server, seaweedfs

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")  # whether a property holds does not depend on how busy the machine is


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests whose programs are not on this machine, and say so; under CI they must be there."""
    if os.environ.get("CI"):
        return
    absent = {item: missing for item in items if (missing := _missing(item))}
    if absent:
        programs = ", ".join(sorted({program for missing in absent.values() for program in missing}))
        config.issue_config_time_warning(pytest.PytestWarning(f"{len(absent)} tests left out: no {programs}"), 2)
        config.hook.pytest_deselected(items=list(absent))
        items[:] = [item for item in items if item not in absent]


def _missing(item: pytest.Item) -> list[str]:
    wanted = (program for marker in item.iter_markers("programs") for program in marker.args)
    return [program for program in wanted if shutil.which(program) is None]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server, empty but for its own `ready` bucket; tests make buckets of their own."""
    with seaweedfs() as server:
        yield server
