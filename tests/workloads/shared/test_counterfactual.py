"""Aggregates without a client: by hand, and against the arithmetic on the models' values."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import NotEnoughData
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Member, Round
from flstore_core.workloads import RoundData
from flstore_core.workloads.shared.counterfactual import calibrate_without, replay_without
from flstore_core.workloads.shared.weighted_models import ModelKey, ModelSum
from tests.workloads.rounds import make_round, member


def record(number: int, base: int | None, clients: str, *, stored: bool = True) -> Round:
    members = tuple(member(name, {"num_examples": 1}) for name in clients)
    return Round(number, base, members, member(AGGREGATE) if stored else None, committed_at=1.0)


def key(number: int, client: str) -> ModelKey:
    return number, ClientId(client)


def test_the_example_in_the_text() -> None:
    found = replay_without([record(1, 0, "abc"), record(2, 1, "abc")], "c")
    assert found[1] == {key(1, "a"): 0.5, key(1, "b"): 0.5}
    assert found[2] == {**found[1], key(2, "a"): 0.5, key(2, "b"): 0.5, key(1, "aggregate"): -1.0}


def test_the_first_round_starts_from_where_it_started() -> None:
    """The client was not there before: the base of its first round stays as it is."""
    assert replay_without([record(5, 4, "ab")], "b") == {5: {key(5, "a"): 1.0}}


def test_a_round_without_the_client_repeats_its_own_step() -> None:
    found = replay_without([record(1, 0, "ac"), record(2, 1, "ab")], "c")
    assert found[2] == {key(1, "a"): 1.0, key(2, "aggregate"): 1.0, key(1, "aggregate"): -1.0}


def test_a_round_of_the_client_alone_takes_no_step() -> None:
    found = replay_without([record(1, 0, "ac"), record(2, 1, "c")], "c")
    assert found[2] == found[1]
    assert replay_without([record(1, None, "c")], "c") == {1: {}}


def test_an_aggregate_that_was_not_stored_is_fedavg() -> None:
    found = replay_without([record(1, None, "ac", stored=False), record(2, 1, "ab", stored=False)], "c")
    assert found[2] == {
        key(1, "a"): 1.0,
        key(2, "a"): 0.5,
        key(2, "b"): 0.5,
        key(1, "aggregate"): -1.0,
    }


def value_of(total: ModelSum, values: Mapping[ModelKey, float]) -> float:
    return sum(weight * values[model] for model, weight in total.items())


@given(st.lists(st.sets(st.sampled_from("abcd"), min_size=1), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_replay_is_the_arithmetic_of_the_others_steps(rounds: list[set[str]], seed: int) -> None:
    """Models are single numbers here; each round starts from the aggregate before it."""
    rng = np.random.default_rng(seed)
    records = [record(number + 1, number, "".join(sorted(clients))) for number, clients in enumerate(rounds)]
    values: dict[ModelKey, float] = {(0, AGGREGATE): float(rng.standard_normal())}
    for each in records:
        for client in each.by_client:
            values[each.number, client] = float(rng.standard_normal())
        values[each.number, AGGREGATE] = float(np.mean([values[each.number, client] for client in each.by_client]))
    reached = values[0, AGGREGATE]
    found = replay_without(records, "a")
    for each in records:
        others = [values[each.number, client] for client in each.by_client if client != "a"]
        reached += float(np.mean(others)) - values[each.number - 1, AGGREGATE] if others else 0.0
        assert value_of(found[each.number], values) == pytest.approx(reached, abs=1e-9)


def calibration(
    stored: list[list[float]], new: list[list[float]], names: str, new_names: str
) -> tuple[RoundData, RoundData]:
    first = make_round(np.array(stored), list(names), number=1)
    second = make_round(np.array(new), list(new_names), number=8)
    return (
        RoundData(Round(1, 0, first.record.members, None, committed_at=1.0), first.statistics),
        RoundData(Round(8, 7, second.record.members, None, committed_at=1.0), second.statistics),
    )


def test_calibration_keeps_the_length_and_takes_the_new_direction() -> None:
    """Stored deltas of lengths 5 and 2, new ones of lengths 10 and 1: factors 1/2 · 5/10 and 1/2 · 2/1."""
    pair = calibration([[3.0, 4, 0], [0, 2, 0], [9, 9, 9]], [[0.0, 10, 0], [1, 0, 0]], "abc", "ab")
    assert calibrate_without([pair], "c") == pytest.approx(
        {key(8, "a"): 0.25, key(8, "b"): 1.0, key(7, "aggregate"): 1.0 - 1.25}
    )


def test_a_client_that_does_not_move_any_more_adds_nothing() -> None:
    pair = calibration([[3.0, 4, 0], [0, 2, 0]], [[0.0, 0, 0], [1, 0, 0]], "ab", "ab")
    assert calibrate_without([pair], "c") == {key(8, "b"): 1.0}  # of weight 1/2 · 2/1: the base cancels


def test_only_clients_of_both_rounds_are_calibrated() -> None:
    pair = calibration([[3.0, 4, 0], [0, 2, 0]], [[0.0, 10, 0], [1, 0, 0]], "ac", "ad")
    assert calibrate_without([pair], "c").keys() == {key(8, "a"), key(7, "aggregate")}


def test_a_calibration_round_without_any_of_the_others_is_named() -> None:
    pair = calibration([[3.0, 4, 0], [0, 2, 0]], [[0.0, 10, 0], [1, 0, 0]], "ac", "cd")
    with pytest.raises(NotEnoughData, match="calibration round 8 has no update of round 1's others"):
        calibrate_without([pair], "c")


def test_members_are_weighed_by_their_examples() -> None:
    members = (Member(ClientId("a"), "", 0, 0, {"num_examples": 3}), Member(ClientId("b"), "", 0, 0, {}))
    assert replay_without([Round(0, None, (*members, member("c")))], "c")[0] == {key(0, "a"): 0.75, key(0, "b"): 0.25}
