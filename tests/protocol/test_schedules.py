"""A fixed thousand of schedules. `python -m tests.protocol` plays more of them, and others."""

import pytest

from tests.protocol.promises import broken
from tests.protocol.schedules import play

SCHEDULES = 1000
PARTS = 10


@pytest.mark.parametrize("part", range(PARTS))
def test_no_schedule_breaks_a_promise(part: int) -> None:
    for seed in range(part, SCHEDULES, PARTS):
        schedule = play(seed)
        assert list(broken(schedule)) == [], f"python -m tests.protocol --schedules 1 --steps --seed {seed}\n{schedule}"


def test_a_seed_determines_the_whole_schedule() -> None:
    first, second = play(285), play(285)
    assert first.store.told == second.store.told
    assert first.store.contents == second.store.contents
