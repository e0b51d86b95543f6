"""What the plan holds: candidates by density, and one exchange where a large one is worth more."""

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.policies.tailored.candidates import Candidate
from flstore_core.policies.tailored.knapsack import choose_candidates
from flstore_core.policies.tailored.known_rounds import Group
from tests.policies.tailored.parts import candidate, update


def worth(value: float, size: int, number: int = 0) -> Candidate:
    """Return a candidate of one object with `size` bytes that is worth `value` requests a second."""
    made = candidate(Group({update(number): size}))
    made.density = value / size
    return made


items = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 12)), max_size=8)


def made_from(rows: list[tuple[int, int]]) -> list[Candidate]:
    return [worth(value, size, number) for number, (value, size) in enumerate(rows)]


def total(candidates: list[Candidate]) -> float:
    return sum(each.density * each.bytes for each in candidates)


def best_by_trying_all(candidates: list[Candidate], room: int) -> float:
    subsets = chain.from_iterable(combinations(candidates, count) for count in range(len(candidates) + 1))
    return max(total(list(subset)) for subset in subsets if sum(each.bytes for each in subset) <= room)


def test_the_example_in_the_module() -> None:
    a, b, c = worth(1.0, 2, 1), worth(1.2, 4, 2), worth(2.0, 8, 3)
    assert choose_candidates([a, b, c], room=10) == ([a, c], True)
    cheap = worth(1.1, 8, 3)
    assert choose_candidates([a, b, cheap], room=10) == ([a, b], True)


def test_what_is_replaced_must_be_worth_less_together() -> None:
    a, b, c = worth(1.5, 4, 1), worth(1.5, 4, 2), worth(2.0, 8, 3)
    assert choose_candidates([a, b, c], room=8) == ([a, b], True)
    better = worth(2.9, 8, 3)
    assert choose_candidates([a, b, better], room=8) == ([a, b], True)
    assert choose_candidates([worth(1.4, 4, 1), worth(1.4, 4, 2), better], room=8) == ([better], True)


def test_one_that_alone_is_worth_more_is_skipped_when_room_is_made() -> None:
    # Densest first a, b, c. For c to fit, 6 bytes must go: b is worth more than c, so a alone would have to free them.
    a, b, c = worth(3.0, 3, 1), worth(5.5, 6, 2), worth(5.0, 7, 3)
    assert choose_candidates([a, b, c], room=10) == ([a, b], True)
    # With c of 4 bytes, 2 must go: b is worth more and is skipped, and a makes the room.
    a, b, c = worth(2.0, 2, 1), worth(5.4, 6, 2), worth(3.2, 4, 3)
    assert choose_candidates([a, b, c], room=10) == ([b, c], True)


@given(items, st.integers(1, 40))
def test_what_is_chosen_fits_and_was_offered(rows: list[tuple[int, int]], room: int) -> None:
    offered = made_from(rows)
    chosen, left_out = choose_candidates(offered, room)
    assert sum(each.bytes for each in chosen) <= room
    assert len({id(each) for each in chosen}) == len(chosen)
    assert all(any(each is one for one in offered) for each in chosen)
    fitting = [each for each in offered if each.bytes <= room]
    assert left_out == (len(chosen) < len(fitting))


@given(items, st.integers(1, 40))
def test_the_choice_is_worth_at_least_half_of_the_best_one(rows: list[tuple[int, int]], room: int) -> None:
    """As Dantzig's rule with the better of its prefix and the first that did not fit."""
    offered = made_from(rows)
    chosen, _ = choose_candidates(offered, room)
    assert total(chosen) >= best_by_trying_all(offered, room) / 2 - 1e-9


@given(items)
def test_where_all_fit_all_are_chosen_the_densest_first(rows: list[tuple[int, int]]) -> None:
    offered = made_from(rows)
    chosen, left_out = choose_candidates(offered, sum(each.bytes for each in offered))
    assert not left_out
    assert len(chosen) == len(offered)
    assert [each.density for each in chosen] == sorted((each.density for each in offered), reverse=True)


def test_one_larger_than_the_room_is_no_candidate_at_all() -> None:
    small = worth(1.0, 2, 1)
    assert choose_candidates([small, worth(99.0, 11, 2)], room=10) == ([small], False)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_candidates_for_the_same_group_the_denser_is_chosen_and_no_room_is_taken_twice(order: int) -> None:
    group = Group({update(1): 10})
    dense, thin = candidate(group), candidate(group)
    dense.density, thin.density = 0.5, 0.4
    assert choose_candidates([dense, thin][::order], room=10) == ([dense], False)


def test_equal_objects_in_two_groups_count_twice() -> None:
    assert choose_candidates([worth(1.0, 6, 1), worth(1.0, 6, 1)], room=10)[1]
