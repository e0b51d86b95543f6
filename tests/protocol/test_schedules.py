"""A fixed thousand of schedules. `python -m tests.protocol` plays more of them, and others."""

import pytest

from tests.protocol.promises import broken
from tests.protocol.schedules import play_seed, replay

SCHEDULES = 1000
PARTS = 10


@pytest.mark.parametrize("part", range(PARTS))
def test_no_schedule_breaks_a_promise(part: int) -> None:
    for seed in range(part, SCHEDULES, PARTS):
        schedule = play_seed(seed)
        assert list(broken(schedule)) == [], f"python -m tests.protocol --schedules 1 --steps --seed {seed}\n{schedule}"


@pytest.mark.parametrize("seed", [3, 285, 286])
def test_a_seed_determines_the_whole_schedule(seed: int) -> None:
    first, second = play_seed(seed), play_seed(seed)
    assert first.store.log == second.store.log
    assert first.store.contents == second.store.contents


@pytest.mark.parametrize("seed", range(20))
def test_what_was_recorded_can_be_played_again(seed: int) -> None:
    first = play_seed(seed)
    second = replay(first.plan, first.turns, first.store.log.accidents)
    assert first.store.log == second.store.log
    assert first.store.contents == second.store.contents
