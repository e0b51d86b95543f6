"""Slices are spread fairly over shards, and as few as possible move."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from flstore_core.ids import JobId, ShardId
from flstore_core.placement.allocation import Owners, allocate, fair_shares
from flstore_core.placement.rendezvous import rank_shards

JOB = JobId("digits")


def equal(count: int) -> dict[ShardId, int]:
    return {ShardId(f"shard-{index}"): 512 for index in range(count)}


def fresh(slices: int, replicas: int, weights: dict[ShardId, int]) -> Owners:
    return allocate(JOB, replicas, weights, ((),) * slices)


def load(owners: Owners) -> Counter[ShardId]:
    return Counter(shard for holders in owners for shard in holders)


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, dict[ShardId, int]]:
    shards = draw(st.integers(1, 7))
    weights = {ShardId(f"s{index}"): draw(st.integers(1, 64)) for index in range(shards)}
    return draw(st.integers(1, 24)), draw(st.integers(1, shards)), weights


@given(cases())
def test_every_slice_has_its_replicas_on_distinct_shards(case: tuple[int, int, dict[ShardId, int]]) -> None:
    slices, replicas, weights = case
    owners = fresh(*case)
    assert len(owners) == slices
    assert all(len(set(holders)) == len(holders) == replicas for holders in owners)
    assert set(load(owners)) <= set(weights)


@given(cases())
def test_allocating_again_from_the_outcome_changes_nothing(case: tuple[int, int, dict[ShardId, int]]) -> None:
    _, replicas, weights = case
    owners = fresh(*case)
    assert allocate(JOB, replicas, weights, owners) == owners


@given(cases())
def test_shares_suffice_for_all_copies_and_exceed_the_exact_share_by_less_than_one(
    case: tuple[int, int, dict[ShardId, int]],
) -> None:
    slices, replicas, weights = case
    fair = fair_shares(slices, replicas, weights)
    assert set(fair) == set(weights)
    assert sum(fair.values()) >= slices * replicas
    assert all(0 <= share <= slices for share in fair.values())
    if max(weights.values()) * replicas <= sum(weights.values()):
        for shard, share in fair.items():
            exact = slices * replicas * weights[shard] / sum(weights.values())
            assert share < exact + 1 + 1e-9


@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 3))
def test_equal_shards_hold_equally_many_slices(slices: int, shards: int, replicas: int) -> None:
    replicas = min(replicas, shards)
    loads = load(fresh(slices, replicas, equal(shards)))
    assert max(loads.values()) <= math.ceil(slices * replicas / shards)


def test_two_slices_never_share_one_of_two_shards() -> None:
    for number in range(200):
        owners = allocate(JobId(f"job-{number}"), 1, equal(2), ((), ()))
        assert owners[0] != owners[1]


@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 3))
def test_adding_one_of_n_shards_moves_about_one_nth_of_the_slices(slices: int, shards: int, replicas: int) -> None:
    replicas = min(replicas, shards)
    before = fresh(slices, replicas, equal(shards))
    after = allocate(JOB, replicas, equal(shards + 1), before)
    moved = sum(len(set(new) - set(old)) for old, new in zip(before, after, strict=True))
    assert moved <= slices * replicas / (shards + 1) + shards
    assert max(load(after).values()) <= math.ceil(slices * replicas / (shards + 1))


def moved_elsewhere(before: Owners, after: Owners, lost: ShardId) -> int:
    return sum(len(set(old) - {lost} - set(new)) for old, new in zip(before, after, strict=True))


@given(st.integers(1, 60), st.integers(2, 8), st.data())
def test_losing_a_shard_moves_its_slices_only(slices: int, shards: int, data: st.DataObject) -> None:
    before = fresh(slices, 1, equal(shards))
    lost = data.draw(st.sampled_from(sorted(equal(shards))))
    rest = {shard: weight for shard, weight in equal(shards).items() if shard != lost}
    assert moved_elsewhere(before, allocate(JOB, 1, rest, before), lost) == 0


@given(st.integers(1, 60), st.integers(3, 8), st.integers(2, 3), st.data())
def test_with_replicas_no_more_copies_step_aside_than_were_lost(
    slices: int, shards: int, replicas: int, data: st.DataObject
) -> None:
    replicas = min(replicas, shards - 1)
    before = fresh(slices, replicas, equal(shards))
    lost = data.draw(st.sampled_from(sorted(equal(shards))))
    rest = {shard: weight for shard, weight in equal(shards).items() if shard != lost}
    assert moved_elsewhere(before, allocate(JOB, replicas, rest, before), lost) <= load(before)[lost]


def test_a_shard_with_three_times_the_memory_holds_three_times_the_slices() -> None:
    big, small = ShardId("big"), ShardId("small")
    loads = load(fresh(40, 1, {big: 3 << 30, small: 1 << 30}))
    assert loads == {big: 30, small: 10}


def test_a_shard_too_big_for_its_share_holds_each_slice_once() -> None:
    big = ShardId("big")
    loads = load(fresh(6, 2, {big: 100, ShardId("a"): 1, ShardId("b"): 1}))
    assert loads[big] == 6
    assert loads[ShardId("a")] == loads[ShardId("b")] == 3


def test_the_first_holder_is_the_one_the_slice_prefers() -> None:
    single = fresh(1, 1, equal(5))
    both = fresh(1, 2, equal(5))
    assert both[0][0] == single[0][0]


def test_the_example_in_the_module() -> None:
    a, b, c = ShardId("a"), ShardId("b"), ShardId("c")
    orders = [rank_shards(f"digits/{index}", {a: 1, b: 1}) for index in range(4)]
    assert orders == [(a, b), (b, a), (b, a), (b, a)]
    owners = fresh(4, 1, {a: 1, b: 1})
    assert owners == ((a,), (b,), (b,), (a,))
    assert allocate(JOB, 1, {a: 1}, owners) == ((a,),) * 4
    assert allocate(JOB, 1, {a: 1, b: 1, c: 1}, owners) == owners


@given(cases())
def test_no_shard_has_more_than_its_share_where_every_slice_is_placed_anew(
    case: tuple[int, int, dict[ShardId, int]],
) -> None:
    slices, replicas, weights = case
    fair = fair_shares(slices, replicas, weights)
    over = {shard: count - fair[shard] for shard, count in load(fresh(*case)).items() if count > fair[shard]}
    assert replicas > 1 or not over


@given(cases(), st.data())
def test_a_holder_within_its_share_keeps_its_slices_when_shards_come(
    case: tuple[int, int, dict[ShardId, int]], data: st.DataObject
) -> None:
    slices, _, weights = case
    before = fresh(slices, 1, weights)
    more = weights | {ShardId("new"): data.draw(st.integers(1, 64))}
    after = allocate(JOB, 1, more, before)
    for old, new in zip(before, after, strict=True):
        assert new == old or new == (ShardId("new"),) or load(before)[old[0]] > fair_shares(slices, 1, more)[old[0]]


@given(cases())
def test_the_allocation_does_not_depend_on_the_order_in_which_shards_are_named(
    case: tuple[int, int, dict[ShardId, int]],
) -> None:
    slices, replicas, weights = case
    assert fresh(slices, replicas, dict(reversed(list(weights.items())))) == fresh(*case)


def test_holders_that_are_gone_are_replaced_and_at_most_one_copy_steps_aside() -> None:
    a, b, c = ShardId("a"), ShardId("b"), ShardId("c")
    kept = ((a, ShardId("gone")), (b, a), ())
    owners = allocate(JOB, 2, {a: 1, b: 1, c: 1}, kept)
    stayed = len({a} & set(owners[0])) + len({a, b} & set(owners[1]))
    assert stayed >= 2
    assert all(len(set(holders)) == 2 for holders in owners)
    assert load(owners) == {a: 2, b: 2, c: 2}


def test_the_slices_that_prefer_a_full_shard_least_leave_it_first() -> None:
    """Slice 0 prefers a, the others prefer b: with all of them on a, whose share is two, slices 2 and 3 move."""
    a, b = ShardId("a"), ShardId("b")
    assert allocate(JOB, 1, {a: 1, b: 1}, ((a,),) * 4) == ((a,), (a,), (b,), (b,))


def test_more_holders_than_replicas_are_cut_to_the_first() -> None:
    a, b = ShardId("a"), ShardId("b")
    assert allocate(JOB, 1, {a: 1, b: 1}, ((a, b), (b, a))) == ((a,), (b,))


def test_shares_of_equal_shards_are_equal_and_rounded_up() -> None:
    assert set(fair_shares(7, 1, equal(3)).values()) == {3}
    assert set(fair_shares(6, 2, equal(4)).values()) == {3}


def test_a_heavy_shard_gets_every_slice_once_and_the_others_share_the_rest() -> None:
    weights = {ShardId("big"): 100, ShardId("a"): 1, ShardId("b"): 1}
    assert fair_shares(6, 2, weights) == {"big": 6, "a": 3, "b": 3}
