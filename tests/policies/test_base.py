"""The two ways of choosing objects by bytes, against trying it out."""

from hypothesis import given
from hypothesis import strategies as st

from flstore_core.policies.base import Key, Queue, last_that_fit, take_first

sizes = st.lists(st.integers(0, 12), max_size=8).map(
    lambda row: {Key("j", number, "a"): size for number, size in enumerate(row)}
)


@given(sizes, st.integers(0, 40))
def test_the_last_that_fit_are_those_that_would_remain_had_they_come_one_by_one(
    offered: dict[Key, int], room: int
) -> None:
    """From the last to the first, each one that still has room stays."""
    kept = last_that_fit(offered, room)
    expected: set[Key] = set()
    for key in reversed(offered):
        if sum(offered[other] for other in expected) + offered[key] <= room:
            expected.add(key)
    assert list(kept) == [key for key in offered if key in expected]
    assert kept.items() <= offered.items()


@given(sizes, st.integers(-5, 60), st.sets(st.integers(0, 7)))
def test_the_first_are_taken_until_they_suffice_and_leave_the_queue(
    queued: dict[Key, int], needed: int, pinned_numbers: set[int]
) -> None:
    pinned = {Key("j", number, "a") for number in pinned_numbers}
    queue = Queue(queued)
    taken = take_first(queue, needed, pinned)
    free = [key for key in queued if key not in pinned]
    assert list(taken) == free[: len(taken)]
    assert list(queue) == [key for key in queued if key not in taken]
    assert sum(taken.values()) >= needed or len(taken) == len(free)
    if taken:
        last = list(taken)[-1]
        assert sum(taken.values()) - taken[last] < needed


def test_a_key_is_equal_to_a_key_of_the_same_members_and_only_to_it() -> None:
    assert len({Key("j", 1, "a"), Key("j", 1, "a", 0), Key("j", 1, "a", 1), Key("k", 1, "a")}) == 3
