"""A gateway behind a door, for each test a new one."""

import os
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from flwr.supercore.task_identity import TaskIdentity

from tests.integrations.door import Door, door
from tests.waiting import eventually


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out tests of NVFlare in an environment that was made without it, and say so; under CI it must be there."""
    if not collection_path.name.startswith("test_nvflare") or os.environ.get("CI") or find_spec("nvflare"):
        return None
    config.issue_config_time_warning(pytest.PytestWarning("NVFlare's tests left out: run `make setup` again"), 2)
    return True


@pytest.fixture
def behind() -> Iterator[Door]:
    with door() as it:
        yield it


@pytest.fixture(autouse=True)
def every_recording_ends() -> Iterator[None]:
    """Fail a test that leaves a recorder at work: its threads would go on into other tests."""
    yield
    eventually(lambda: not any(thread.name.startswith("flstore-recorder") for thread in threading.enumerate()))


@pytest.fixture(autouse=True)
def flower_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say which task of Flower this process is, without which no message can be made."""
    for name, value in {"_task_id": 1, "_run_id": 1, "_node_id": 1}.items():
        monkeypatch.setattr(TaskIdentity, name, value)
