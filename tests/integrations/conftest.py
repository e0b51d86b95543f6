"""A gateway behind a door, for each test a new one."""

from collections.abc import Iterator

import pytest
from flwr.supercore.task_identity import TaskIdentity

from tests.integrations.door import Door, door


@pytest.fixture
def behind() -> Iterator[Door]:
    with door() as it:
        yield it


@pytest.fixture(autouse=True)
def flower_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say which task of Flower this process is, without which no message can be made."""
    for name, value in {"_task_id": 1, "_run_id": 1, "_node_id": 1}.items():
        monkeypatch.setattr(TaskIdentity, name, value)
