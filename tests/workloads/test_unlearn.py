"""Aggregates without a client: against replays in float64, and on real digits with planted attackers."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound, OperationCancelled
from flstore_core.records import Round
from flstore_core.schema import Schema
from flstore_core.workloads import RoundData
from flstore_core.workloads.unlearn import Unlearn, UnlearnParams
from tests.workloads.federated import Setting, Sites, train
from tests.workloads.rounds import Index, make_round, member, schema_of
from tests.workloads.stored import MIXED, Stored

ASKED = Unlearn()
Float64 = NDArray[np.float64]
Sent = tuple[dict[str, Float64], Float64]
"""What clients sent in a round, and the aggregate."""


def stored(initial: Float64, sent: Sequence[Sent], examples: Sequence[float], schema: Schema | None = None) -> Stored:
    """Return rounds 1, 2, … on the model `initial` of round 0; `examples` by client's number."""
    rounds = [RoundData(Round(0, None, (), member("aggregate"), committed_at=1.0))]
    models: dict[tuple[int, str], Float64] = {(0, "aggregate"): initial}
    for number, (updates, aggregate) in enumerate(sent, start=1):
        add_round(rounds, models, number, number - 1, updates, aggregate, examples)
    return Stored(schema or schema_of(len(initial)), rounds, models)


def add_round(
    rounds: list[RoundData],
    models: dict[tuple[int, str], Float64],
    number: int,
    base: int,
    updates: dict[str, Float64],
    aggregate: Float64 | None,
    examples: Sequence[float],
) -> None:
    rows = np.array([*updates.values()])
    counts = [examples[int(name[1:])] for name in updates]
    start = models[base, "aggregate"]
    data = make_round(rows, [*updates], number=number, base=start, aggregate=aggregate, examples=counts)
    rounds.append(replace(data, record=replace(data.record, base=base)))
    models |= {(number, name): row for name, row in updates.items()}
    if aggregate is not None:
        models[number, "aggregate"] = aggregate


def history(parameters: int, taking_part: Sequence[Sequence[int]], seed: int = 0) -> tuple[Float64, list[Sent]]:
    """Return random rounds whose aggregates are FedAvg's by EXAMPLES."""
    rng = np.random.default_rng(seed)
    theta = initial = rng.standard_normal(parameters)
    sent = []
    for clients in taking_part:
        updates = {f"c{client}": theta + 0.1 * rng.standard_normal(parameters) for client in clients}
        weights = np.array([EXAMPLES[client] for client in clients])
        theta = weights @ np.array([*updates.values()]) / weights.sum()
        sent.append((updates, theta))
    return initial, sent


EXAMPLES = [10.0, 20.0, 30.0, 5.0, 1.0]
TAKING_PART = [[0, 1, 2], [1, 3], [0, 2, 4], [2, 3, 4], [0, 1, 4]]


def by_hand(initial: Float64, sent: Sequence[Sent], without: str) -> list[Float64]:
    """Return the aggregates of a replay, step by step."""
    theta, base, found = initial, initial, []
    for updates, aggregate in sent:
        others = {name: row for name, row in updates.items() if name != without}
        weights = np.array([EXAMPLES[int(name[1:])] for name in others])
        if others:
            theta = theta + weights @ (np.array([*others.values()]) - base) / weights.sum()
        base = aggregate
        found.append(theta)
    return found


@pytest.mark.parametrize("slices", [1, 2, 5])
@pytest.mark.parametrize("client", ["c0", "c3", "c4"])
def test_a_replay_is_the_training_without_the_client(client: str, slices: int) -> None:
    initial, sent = history(800, TAKING_PART)
    rounds = stored(initial, sent, EXAMPLES)
    answer = rounds.ask(ASKED, slices, client=client, every=True)
    first = next(number for number, (updates, _) in enumerate(sent, start=1) if client in updates)
    expected = by_hand(initial, sent, client)[first - 1 :]
    assert [model.round for model in answer.models] == list(range(first, 6))
    assert answer.rounds == [number for number, (updates, _) in enumerate(sent, start=1) if client in updates]
    for model, found, wanted in zip(answer.models, rounds.artifacts.written, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
        assert model.distance == pytest.approx(np.linalg.norm(wanted - sent[model.round - 1][1]), rel=1e-5)


def test_only_the_last_model_is_written_unless_all_are_wanted() -> None:
    initial, sent = history(60, TAKING_PART)
    rounds = stored(initial, sent, EXAMPLES)
    assert [model.round for model in rounds.ask(ASKED, client="c0").models] == [5]
    assert [model.round for model in rounds.ask(ASKED, client="c0", last=3).models] == [3]
    np.testing.assert_allclose(rounds.artifacts.written[1], by_hand(initial, sent, "c0")[2], atol=1e-6)


def test_rounds_without_the_client_cost_no_reading_of_their_updates() -> None:
    initial, sent = history(60, [[0, 1], [1, 2], [1, 2], [3, 4]])
    rounds = stored(initial, sent, EXAMPLES)
    read = ASKED.members(rounds.rounds[1:], UnlearnParams("c0"))
    assert [(entry.round, entry.client) for entry in read] == [(1, "aggregate"), (1, "c1"), (4, "aggregate")]


@pytest.mark.parametrize("slices", [1, 5])
def test_mixed_dtypes_are_replayed_within_their_precision(slices: int) -> None:
    initial, sent = history(MIXED.parameters, TAKING_PART)
    rounds = stored(initial, sent, EXAMPLES, MIXED)
    rounds.ask(ASKED, slices, client="c0")
    np.testing.assert_allclose(rounds.artifacts.written[0], by_hand(initial, sent, "c0")[-1], atol=0.05)


def test_a_client_whose_deltas_were_zero_leaves_a_longer_step_behind() -> None:
    initial, step = np.zeros(9), np.ones(9)
    rounds = stored(initial, [({"c0": initial, "c1": step}, 2 / 3 * step)], EXAMPLES)
    assert rounds.ask(ASKED, client="c0").models[0].distance == pytest.approx(1.0)
    np.testing.assert_allclose(rounds.artifacts.written[0], step)


def test_equal_updates_leave_the_model_where_it_was() -> None:
    step = np.ones(9)
    rounds = stored(np.zeros(9), [({"c0": step, "c1": step, "c2": step}, step)], EXAMPLES)
    assert rounds.ask(ASKED, client="c0").models[0].distance == pytest.approx(0.0, abs=1e-7)


def test_a_lone_client_leaves_the_model_it_started_from_or_nothing() -> None:
    rounds = stored(np.full(9, 3.0), [({"c0": np.ones(9)}, np.ones(9))], EXAMPLES)
    rounds.ask(ASKED, client="c0")
    np.testing.assert_array_equal(rounds.artifacts.written[0], np.full(9, 3.0))
    lonely = Stored(schema_of(9), [make_round(np.ones((1, 9)))], {(0, "c0"): np.ones(9)})
    with pytest.raises(NotEnoughData, match="nothing is left"):
        lonely.ask(ASKED, client="c0")


def test_what_cannot_be_forgotten_is_said() -> None:
    initial, sent = history(60, TAKING_PART)
    rounds = stored(initial, sent, EXAMPLES)
    with pytest.raises(NotFound, match="c9"):
        rounds.ask(ASKED, client="c9")
    with pytest.raises(NotEnoughData, match="first took part in round 2"):
        rounds.ask(ASKED, client="c3", last=1)
    with pytest.raises(InvalidParameters, match="calibrations"):
        UnlearnParams("c0", method="calibrate")
    with pytest.raises(NotFound, match="round 77"):
        rounds.ask(ASKED, client="c0", method="calibrate", calibrations=[[1, 77]])
    with pytest.raises(NotEnoughData, match="no update of round 4's others"):
        rounds.ask(ASKED, client="c0", method="calibrate", calibrations=[[4, 0]])


def test_progress_is_told_and_the_work_can_be_given_up() -> None:
    rounds = stored(*history(60, TAKING_PART), EXAMPLES)
    told: list[tuple[int, int]] = []
    params = UnlearnParams("c0", every=True)
    rounds.ask_with(ASKED, params, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 5) for done in range(6)]

    def cancelled(done: int, total: int) -> None:
        raise OperationCancelled("enough")

    with pytest.raises(OperationCancelled):
        rounds.ask_with(ASKED, params, progress=cancelled)


CLEAN = Setting(clients=10, per_round=10, rounds=8, alpha=5.0, epochs=2)


@cache
def accuracy_without_attack() -> float:
    return list(train(CLEAN))[-1].accuracy


def of_digits(setting: Setting) -> tuple[Sites, Float64, list[Sent]]:
    """Return a training on digits: its data, its first model, what was sent and came of it."""
    rounds = list(train(setting))
    sent = [
        (
            {f"c{client}": entry.base + delta for client, delta in zip(entry.clients, entry.deltas, strict=True)},
            entry.base + entry.examples @ entry.deltas / entry.examples.sum(),
        )
        for entry in rounds
    ]
    return Sites.of(setting), rounds[0].base, sent


def shares(sites: Sites) -> list[float]:
    return [float(len(share)) for share in sites.shares]


def test_the_effect_of_an_attack_on_the_last_round_is_gone_after_a_replay() -> None:
    sites, initial, sent = of_digits(CLEAN)
    updates, aggregate = sent[-1]
    noise = np.random.default_rng(0).standard_normal(len(initial))
    attacked = {**updates, "c0": updates["c0"] + 10 * noise}
    moved = aggregate + shares(sites)[0] / sum(shares(sites)) * 10 * noise
    before = [({name: row for name, row in u.items() if name != "c0"}, a) for u, a in sent[:-1]]
    rounds = stored(initial, [*before, (attacked, moved)], shares(sites))
    rounds.ask(ASKED, client="c0")
    assert sites.accuracy(moved) < accuracy_without_attack() - 0.3
    assert sites.accuracy(rounds.artifacts.written[0].astype(np.float64)) > accuracy_without_attack() - 0.01


def test_the_effect_of_an_attacker_in_every_round_is_gone_after_calibration() -> None:
    sites, initial, sent = of_digits(replace(CLEAN, attackers={0: "sign-flip"}))
    forgotten = calibrate(sites, stored(initial, sent, shares(sites)))
    assert sites.accuracy(sent[-1][1]) < accuracy_without_attack() - 0.05
    assert sites.accuracy(forgotten) > accuracy_without_attack() - 0.01


def calibrate(sites: Sites, rounds: Stored) -> Float64:
    """Return the model that FedEraser's calibration, two epochs a round, comes to without c0."""
    everyone, models = list(rounds.rounds), dict(rounds.models)
    numbers = [data.record.number for data in everyone[1:]]
    base, theta = 0, models[0, "aggregate"]
    for number in numbers:
        updates = {f"c{client}": theta + sites.delta(theta, client, 2) for client in range(1, 10)}
        add_round(everyone, models, 100 + number, base, updates, None, shares(sites))
        asked: dict[str, Any] = {"method": "calibrate", "calibrations": [[number, 100 + number]]}
        one = Stored(rounds.schema, everyone, models)
        one.ask(ASKED, client="c0", **asked)
        base, theta = 100 + number, one.artifacts.written[0].astype(np.float64)
        add_aggregate(everyone, models, base, theta)
    return theta


def add_aggregate(
    rounds: list[RoundData], models: dict[tuple[int, str], Float64], number: int, aggregate: Float64
) -> None:
    rounds[-1] = replace(rounds[-1], record=replace(rounds[-1].record, aggregate=member("aggregate")))
    models[number, "aggregate"] = aggregate


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_a_calibrated_step_has_the_stored_length_and_the_new_direction(slices: int) -> None:
    initial, sent = history(60, TAKING_PART[:1])
    rounds = stored(initial, sent, EXAMPLES)
    everyone, models = list(rounds.rounds), dict(rounds.models)
    rng = np.random.default_rng(5)
    fresh = {name: initial + rng.standard_normal(60) for name in ("c1", "c2")}
    add_round(everyone, models, 9, 0, fresh, None, EXAMPLES)
    both = Stored(rounds.schema, everyone, models)
    answer = both.ask(ASKED, slices, client="c0", method="calibrate", calibrations=[[1, 9]])
    steps = []
    for name, row in fresh.items():
        reach = np.linalg.norm(sent[0][0][name] - initial)
        steps.append(reach * (row - initial) / np.linalg.norm(row - initial))
    expected = initial + (20 * steps[0] + 30 * steps[1]) / 50
    np.testing.assert_allclose(both.artifacts.written[0], expected, atol=1e-6)
    assert answer.models[0].distance == pytest.approx(np.linalg.norm(expected - sent[0][1]), rel=1e-5)
    assert (answer.models[0].round, answer.rounds) == (1, [1])


def test_parameters_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InvalidParameters, match=r"'calibrate' needs calibrations: pairs \[stored round, calibration"):
        UnlearnParams("c0", method="calibrate")
    with pytest.raises(InvalidParameters, match="for method 'calibrate' alone; leave them out with 'replay'"):
        UnlearnParams("c0", calibrations=[[1, 2]])


def test_the_rounds_to_read_run_from_the_clients_first_or_are_those_of_the_calibrations() -> None:
    index = Index(committed=[0, 1, 2, 5, 8, 9], clients={"a": [2, 8]})
    assert ASKED.select(UnlearnParams("a"), index) == [2, 5, 8, 9]
    assert ASKED.select(UnlearnParams("a", last=6), index) == [2, 5]
    asked = UnlearnParams("a", method="calibrate", calibrations=[[2, 8], [5, 9]])
    assert ASKED.select(asked, index) == [2, 5, 8, 9]
    assert (ASKED.reads_statistics(asked), ASKED.reads_statistics(UnlearnParams("a"))) == (True, False)
    with pytest.raises(NotEnoughData, match="first took part in round 2, after round 1; raise last"):
        ASKED.select(UnlearnParams("a", last=1), index)
    with pytest.raises(NotFound, match="round 7 in calibrations is not committed; commit it, or name another"):
        ASKED.select(UnlearnParams("a", method="calibrate", calibrations=[[2, 7]]), index)


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_every_model_of_a_replay_is_the_same_in_any_number_of_slices(slices: int) -> None:
    initial, sent = history(90, TAKING_PART)
    one, many = (stored(initial, sent, EXAMPLES) for _ in range(2))
    answers = one.ask(ASKED, client="c0", every=True), many.ask(ASKED, slices, client="c0", every=True)
    assert [model.round for model in answers[0].models] == [model.round for model in answers[1].models]
    for mine, other in zip(one.artifacts.written, many.artifacts.written, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
    assert [metadata["round"] for metadata in many.artifacts.metadata] == [str(m.round) for m in answers[0].models]
