"""The demonstration's own training, run once."""

import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from loadgen.demo.training import TrainedRound, Training


@pytest.fixture(scope="session")
def full_training() -> list[TrainedRound]:
    with threadpool_limits(1):
        return list(Training().rounds())
