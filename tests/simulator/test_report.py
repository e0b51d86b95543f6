"""Results of several policies on one trace."""

import pytest

from flstore_core.errors import InsufficientCapacity, NotFound
from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Request
from flstore_core.simulator import Trace, simulate, simulated_policies, to_json
from flstore_core.simulator.events import Created, Requested

KEYS = [Key("j", 0, client) for client in "abc"]


def loop(times: int) -> Trace:
    """Return a trace in which three objects of ten bytes are requested in turn."""
    asked = [Requested(float(n), Request("j", "w", Pattern.P1, (KEYS[n % 3],))) for n in range(3 * times)]
    return Trace([*(Created(0.0, key, 10) for key in KEYS), *asked], 3 + len(asked), dict.fromkeys(KEYS, 10))


def test_results_come_in_the_order_of_the_names() -> None:
    results = simulate(loop(4), ["belady", "lru"], 20)
    assert [result.policy for result in results] == ["belady", "lru"]
    # LRU misses all 12 of a loop larger than its room. The optimum has two of three objects from their arrival on, and
    # trades one of them at each miss: with room for n - 1 of n objects it misses once in n - 1 requests at best.
    assert results[1].overall.hits == 0
    assert 6 <= results[0].overall.hits <= 8
    assert results[0].seconds >= 0.0


def test_the_counters_of_all_patterns_make_the_overall_ones() -> None:
    (result,) = simulate(loop(2), ["lru+arrival"], 30)
    assert result.overall.hits == result.patterns[Pattern.P1].hits == 6
    assert result.patterns[Pattern.P2].requests == 0


def test_the_json_is_by_policy_and_pattern() -> None:
    policies = to_json(simulate(loop(2), ["lru", "fifo"], 30))["policies"]
    assert list(policies) == ["lru", "fifo"]
    assert list(policies["lru"]) == ["overall", "P1", "P2", "P3", "P4"]
    assert policies["lru"]["overall"]["hit_rate"] == 0.5


def test_one_seed_gives_one_result_for_policies_that_choose_at_random() -> None:
    same = [simulate(loop(20), ["random"], 20, seed=3)[0].overall for _ in range(2)]
    assert same[0] == same[1]
    assert len({simulate(loop(20), ["random"], 20, seed=seed)[0].overall.hits for seed in range(8)}) > 1


def test_names_are_checked_before_anything_is_replayed() -> None:
    with pytest.raises(NotFound, match="policy 'beladi' does not exist; nearest: belady"):
        simulate(loop(1), ["lru", "beladi"], 1)
    assert simulated_policies()[-1] == "belady"


def test_a_budget_smaller_than_an_object_is_refused() -> None:
    with pytest.raises(InsufficientCapacity, match="budget is 9"):
        simulate(loop(1), ["lru"], 9)
