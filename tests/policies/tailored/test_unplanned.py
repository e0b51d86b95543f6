"""Outside the plan, what no request has read leaves before what is in use."""

import pytest

from flstore_core.policies.tailored.unplanned import Unplanned
from tests.policies.tailored.parts import update

A, B, C, D = (update(1, client) for client in "abcd")


def arrived(*clients: str) -> Unplanned:
    """Return a cache into which updates of ten bytes came one after the other, none of them read."""
    unplanned = Unplanned()
    for client in clients:
        unplanned.put(update(1, client), 10, was_read=False)
    return unplanned


def test_the_example_in_the_module() -> None:
    for needed, victims in ((20, [({B: 10, C: 10}, "never-asked")]), (30, None)):
        unplanned = arrived("a", "b", "c")
        unplanned.touch(A)
        expected = victims or [({B: 10, C: 10}, "never-asked"), ({A: 10}, "least-recent")]
        assert unplanned.evict(needed, pinned=()) == expected
        assert unplanned.bytes == 30 - needed


def test_what_was_read_leaves_least_recently_read_first() -> None:
    unplanned = Unplanned()
    for key in (A, B, C):
        unplanned.put(key, 10, was_read=True)
    unplanned.touch(A)
    assert unplanned.evict(20, pinned=()) == [({B: 10, C: 10}, "least-recent")]


def test_a_request_for_what_is_not_here_changes_nothing() -> None:
    unplanned = arrived("a")
    unplanned.touch(D)
    assert unplanned.bytes == 10
    assert unplanned.evict(99, pinned=()) == [({A: 10}, "never-asked")]


def test_pinned_objects_are_passed_over() -> None:
    unplanned = arrived("a", "b")
    assert unplanned.evict(10, pinned={A}) == [({B: 10}, "never-asked")]
    assert unplanned.evict(10, pinned={A}) == [({}, "never-asked")]
    assert unplanned.bytes == 10


def test_dropping_says_whether_a_request_had_read_it() -> None:
    unplanned = arrived("a", "b")
    unplanned.touch(B)
    assert [unplanned.drop(key) for key in (A, B, C)] == [False, True, False]
    assert (unplanned.bytes, unplanned.evict(10, pinned=())) == (0, [])


@pytest.mark.parametrize(("newest", "makes_way"), [(0, False), (1, True), (2, True)])
def test_only_objects_of_committed_rounds_make_way_for_an_arrival(newest: int, makes_way: bool) -> None:
    assert arrived("a").makes_way(newest, awaited=False) is makes_way


def test_what_was_read_makes_no_way() -> None:
    unplanned = arrived("a")
    unplanned.touch(A)
    assert not unplanned.makes_way(newest=9, awaited=False)


@pytest.mark.parametrize(("newest", "makes_way"), [(0, False), (1, True), (2, True)])
def test_what_was_read_makes_way_for_what_is_awaited(newest: int, makes_way: bool) -> None:
    unplanned = arrived("a")
    unplanned.touch(A)
    assert unplanned.makes_way(newest, awaited=True) is makes_way
