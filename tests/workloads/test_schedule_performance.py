"""Oort's choice: the paper's formulas by hand, and a population whose best clients are known."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.workloads.schedule_performance import SchedulePerformance, SchedulePerformanceParams
from tests.workloads.rounds import Index, ask, rounds_of

ASKED = SchedulePerformance()


def report(loss: float, seconds: float = 1.0, examples: float = 10.0) -> dict[str, float]:
    return {"loss": loss, "duration_s": seconds, "num_examples": examples}


def test_utility_is_that_of_the_papers_algorithm() -> None:
    history = rounds_of({"a": report(2.0, 4.0), "b": report(1.0, 1.0)}, {"b": report(1.5, 2.0), "c": report(0.5, 8.0)})
    answer = ask(ASKED, history, preferred_duration_s=4.0, penalty=2.0)
    by_name = {each.client: each for each in answer.candidates}
    assert [by_name[name].statistical for name in "abc"] == [20, 15, 5]
    assert [by_name[name].system for name in "abc"] == [1, 1, (4 / 8) ** 2]
    high = float(np.quantile([20, 15, 5], 0.95))
    expected = {
        "a": (1.0 + math.sqrt(0.1 * math.log(2) / 1)) * 1,
        "b": ((15 - 5) / (high - 5) + math.sqrt(0.1 * math.log(2) / 2)) * 1,
        "c": (0.0 + math.sqrt(0.1 * math.log(2) / 2)) * 0.25,
    }
    assert {name: each.utility for name, each in by_name.items()} == pytest.approx(expected)
    assert [each.client for each in answer.candidates] == ["a", "b", "c"]


def test_exploration_decays_by_the_round_down_to_its_floor() -> None:
    assert ask(ASKED, rounds_of(*[{"a": report(1.0)}] * 3)).exploration == pytest.approx(0.9 * 0.98**3)
    assert ask(ASKED, rounds_of(*[{"a": report(1.0)}] * 100)).exploration == 0.2


def test_places_for_exploration_go_to_clients_never_seen() -> None:
    history = rounds_of({f"c{i}": report(1.0 + i) for i in range(10)})
    everyone = [f"c{i}" for i in range(10)] + [f"new{i}" for i in range(10)]
    answer = ask(ASKED, history, count=10, candidates=everyone, exploration=0.4, exploration_decay=1.0)
    assert Counter(choice.why for choice in answer.chosen) == {"exploit": 6, "explore": 4}
    assert all(choice.client.startswith("new") == (choice.why == "explore") for choice in answer.chosen)


def test_clients_that_teach_much_and_fast_are_chosen_most() -> None:
    clients = {f"c{i:02d}": report(0.1) for i in range(40)}
    clients |= {f"good{i}": report(3.0) for i in range(5)}
    clients |= {f"slow{i}": report(3.0, 30.0) for i in range(5)}
    drawn = Counter(
        choice.client[:4] for seed in range(20) for choice in ask(ASKED, rounds_of(clients), count=5, seed=seed).chosen
    )
    assert drawn["good"] == 100
    ignoring_speed = ask(ASKED, rounds_of(clients), count=10, penalty=0.0)
    assert {choice.client[:4] for choice in ignoring_speed.chosen} == {"good", "slow"}


def test_the_pacer_allows_longer_rounds_once_utility_dwindles() -> None:
    seconds = {f"c{i}": float(i + 1) for i in range(10)}
    rising, falling = (
        rounds_of(*({name: report(loss, took) for name, took in seconds.items()} for loss in losses))
        for losses in ([1, 1, 2, 2, 3, 3], [3, 3, 2, 2, 1, 1])
    )
    assert ask(ASKED, rising, window=2).preferred_duration_s == 3.0
    assert ask(ASKED, falling, window=2, pace=0.3).preferred_duration_s == 4.0


def test_the_same_seed_gives_the_same_clients_and_none_twice() -> None:
    history = rounds_of({f"c{i}": report(1.0) for i in range(30)})
    first, again = (ask(ASKED, history, count=10, seed=5) for _ in range(2))
    assert first == again
    names = [choice.client for choice in first.chosen]
    assert len(set(names)) == 10
    assert ask(ASKED, history, count=10, seed=6).chosen != first.chosen


def test_equal_zero_and_missing_reports_have_a_defined_answer() -> None:
    flat = ask(ASKED, rounds_of({"a": report(0.0), "b": report(0.0)}), count=5)
    assert {choice.client for choice in flat.chosen} == {"a", "b"}
    only = ask(ASKED, rounds_of({"a": {"loss": 1.0}}))
    assert (only.preferred_duration_s, only.candidates[0].system, only.chosen[0].client) == (None, 1.0, "a")
    with pytest.raises(NotFound, match="nearest: loss"):
        ask(ASKED, rounds_of({"a": {"loss": 1.0}}), loss="los")


def test_clients_that_took_part_too_often_are_left_out() -> None:
    history = rounds_of({"a": report(1.0), "b": report(1.0)}, {"a": report(1.0)})
    assert [choice.client for choice in ask(ASKED, history, most_participations=1).chosen] == ["b"]
    with pytest.raises(InvalidParameters, match="all 1 clients took part more than"):
        ask(ASKED, history, candidates=["a"], most_participations=1)


def test_the_documented_example() -> None:
    history = rounds_of({"a": report(2.0), "b": report(1.5), "c": report(0.5)})
    answer = ask(ASKED, history)
    assert {each.client: each.statistical for each in answer.candidates} == {"a": 20, "b": 15, "c": 5}
    slow = ask(ASKED, rounds_of({"a": report(1.0, seconds=10.0)}), preferred_duration_s=5.0)
    assert slow.candidates[0].system == 0.25


@pytest.mark.parametrize("loss", [-1.0, "low", True, None, 1e200, 10**400])
def test_a_client_without_a_usable_loss_is_there_to_explore(loss: Any) -> None:
    answer = ask(ASKED, rounds_of({"a": report(1.0), "x": {"loss": loss}}), count=2)
    assert {choice.client: choice.why for choice in answer.chosen} == {"a": "exploit", "x": "explore"}
    (unseen,) = [each for each in answer.candidates if each.client == "x"]
    assert (unseen.statistical, unseen.utility, unseen.last_round, unseen.duration_s) == (0, 0, None, None)


@pytest.mark.parametrize("seconds", [0.0, -3.0, "fast", None])
def test_a_duration_that_is_none_leaves_speed_out(seconds: Any) -> None:
    answer = ask(ASKED, rounds_of({"a": {"loss": 1.0, "duration_s": seconds}, "b": report(1.0, 2.0)}))
    known = {each.client: each for each in answer.candidates}
    assert (known["a"].duration_s, known["a"].system) == (None, 1.0)
    assert answer.preferred_duration_s == 2.0


def test_exploration_stays_below_its_floor_where_it_starts_there() -> None:
    history = rounds_of(*[{"a": report(1.0)}] * 5)
    assert ask(ASKED, history, exploration=0.1).exploration == 0.1
    assert ask(ASKED, history, exploration=0.0).exploration == 0.0
    assert ask(ASKED, history, exploration=0.5, exploration_decay=1.0).exploration == 0.5


def test_of_equal_clients_the_one_not_seen_lately_is_preferred() -> None:
    history = rounds_of({"early": report(1.0)}, {}, {"late": report(1.0)})
    first, second = ask(ASKED, history).candidates
    assert (first.client, second.client) == ("early", "late")
    assert (first.last_round, second.last_round) == (0, 2)
    assert first.utility - second.utility == pytest.approx(math.sqrt(0.1 * math.log(3)) * (1 - 3**-0.5))


def test_the_cutoff_keeps_useless_clients_out_of_the_draw() -> None:
    history = rounds_of({**{f"good{i}": report(2.0 + i) for i in range(3)}, "bad": report(0.0)})
    for seed in range(10):
        chosen = ask(ASKED, history, count=2, seed=seed, exploration=0.0).chosen
        assert "bad" not in {choice.client for choice in chosen}
    everybody = {c.client for seed in range(40) for c in ask(ASKED, history, count=2, seed=seed, cutoff=1e-9).chosen}
    assert everybody >= {"good0", "good1", "good2"}


def test_only_new_candidates_are_all_explored_and_an_unknown_loss_is_refused() -> None:
    history = rounds_of({"a": {"accuracy": 1.0}})
    answer = ask(ASKED, history, candidates=["x", "y"], count=5)
    assert {choice.client for choice in answer.chosen} == {"x", "y"}
    assert {choice.why for choice in answer.chosen} == {"explore"}
    with pytest.raises(NotFound, match="numeric metric 'loss' does not exist"):
        ask(ASKED, history)
    with pytest.raises(InvalidParameters, match="raise it, or name other candidates"):
        ask(ASKED, rounds_of({"a": report(1.0)}, {"a": report(1.0)}), most_participations=1)
    assert ASKED.select(SchedulePerformanceParams(first=1), Index(committed=[0, 1, 2])) == [1, 2]
