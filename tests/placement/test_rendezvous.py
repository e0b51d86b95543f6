"""Every key ranks the shards by itself, in proportion to their weights."""

import hashlib
import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.ids import ShardId
from flstore_core.placement.rendezvous import open_unit, rank_shards

KEYS = [f"job/{index}" for index in range(4000)]
names = st.text("abcdefgh-0123456789", min_size=1, max_size=8).map(ShardId)
weights = st.dictionaries(names, st.integers(1, 10**12), min_size=2, max_size=8)


def shard(index: int) -> ShardId:
    return ShardId(f"shard-{index}")


def equal(count: int) -> dict[ShardId, float]:
    return {shard(index): 1.0 for index in range(count)}


@given(st.text(max_size=20), weights)
def test_every_shard_is_ranked_once_whatever_the_order_they_are_named_in(
    key: str, given_weights: dict[ShardId, int]
) -> None:
    ranked = rank_shards(key, given_weights)
    assert sorted(ranked) == sorted(given_weights)
    assert rank_shards(key, dict(reversed(list(given_weights.items())))) == ranked


@given(st.text(max_size=20), weights)
def test_losing_a_shard_keeps_the_order_of_the_others(key: str, given_weights: dict[ShardId, int]) -> None:
    lost = next(iter(given_weights))
    others = {name: weight for name, weight in given_weights.items() if name != lost}
    assert rank_shards(key, others) == tuple(name for name in rank_shards(key, given_weights) if name != lost)


@given(st.text(max_size=20), weights, st.integers(2, 100))
def test_only_the_proportion_of_weights_counts(key: str, given_weights: dict[ShardId, int], factor: int) -> None:
    scaled = {name: float(weight) * 2.0**factor for name, weight in given_weights.items()}
    assert rank_shards(key, scaled) == rank_shards(key, given_weights)


@given(st.integers(0, 2**53 - 1) | st.integers(2**53 - 9, 2**53 - 1) | st.integers(0, 9))
def test_every_hash_is_a_number_between_0_and_1_so_that_its_logarithm_divides(number: int) -> None:
    assert 0.0 < open_unit(number) < 1.0
    assert open_unit(number) == pytest.approx((number + 0.5) / 2**53, rel=2**-53)


def test_adding_one_of_n_shards_takes_one_nth_of_the_keys_and_moves_no_other() -> None:
    for count in (2, 5, 10):
        before = {key: rank_shards(key, equal(count - 1))[0] for key in KEYS}
        after = {key: rank_shards(key, equal(count))[0] for key in KEYS}
        moved = {key for key in KEYS if before[key] != after[key]}
        assert all(after[key] == shard(count - 1) for key in moved)
        assert abs(len(moved) / len(KEYS) - 1 / count) < 0.03


def test_a_shard_is_first_in_its_share_of_the_weight() -> None:
    firsts = Counter(rank_shards(key, {shard(0): 1, shard(1): 2, shard(2): 5})[0] for key in KEYS)
    for index, share in enumerate((1 / 8, 2 / 8, 5 / 8)):
        assert abs(firsts[shard(index)] / len(KEYS) - share) < 0.03


def test_raising_a_weight_moves_keys_to_that_shard_only() -> None:
    raised = equal(4) | {shard(2): 3.0}
    for key in KEYS:
        before, after = rank_shards(key, equal(4))[0], rank_shards(key, raised)[0]
        assert after in (before, shard(2))


def test_the_order_is_the_same_in_every_process_and_release() -> None:
    """Changing the hash would move every slice of every installation."""
    assert rank_shards("digits/0", equal(4)) == ("shard-3", "shard-2", "shard-0", "shard-1")


def test_the_example_in_the_module() -> None:
    ranked = [shard(index) for index in (3, 2, 0, 1)]
    assert list(rank_shards("digits/0", equal(4))) == ranked
    assert rank_shards("digits/0", equal(4) | {shard(1): 6.0})[0] == shard(1)
    uniform = {}
    for name in equal(4):
        digest = hashlib.blake2b(f"digits/0\n{name}".encode(), digest_size=8).digest()
        uniform[name] = int.from_bytes(digest, "big") / 2**64
    assert [round(uniform[shard(index)], 3) for index in range(4)] == [0.413, 0.366, 0.677, 0.841]
    assert [round(-1 / math.log(uniform[shard(index)]), 2) for index in range(4)] == [1.13, 1.00, 2.56, 5.78]
    assert round(-6 / math.log(uniform[shard(1)]), 2) == 5.97


@given(st.text(max_size=20), weights)
def test_the_order_is_that_of_the_scores_by_their_definition(key: str, given_weights: dict[ShardId, int]) -> None:
    def score(name: ShardId) -> float:
        number = int.from_bytes(hashlib.blake2b(f"{key}\n{name}".encode(), digest_size=8).digest(), "big") / 2**64
        return -given_weights[name] / math.log(number)

    scores = [score(name) for name in rank_shards(key, given_weights)]
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(scores))


@pytest.mark.parametrize("count", [1, 2])
def test_few_shards_are_ranked_too(count: int) -> None:
    assert sorted(rank_shards("k", equal(count))) == sorted(equal(count))
    assert rank_shards("k", {}) == ()
