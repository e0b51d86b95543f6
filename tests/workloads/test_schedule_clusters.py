"""TiFL's tiers by the paper's formula and by hand; planted groups are spread over."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotEnoughData
from flstore_core.records import Round
from flstore_core.workloads import RoundData
from flstore_core.workloads.schedule_clusters import (
    ScheduleClusters,
    ScheduleClustersParams,
    mean_cosines,
    tier_probabilities,
)
from tests.workloads.rounds import Index, ask, make_round, member

ASKED = ScheduleClusters()


def history(clients: int = 12, rounds: int = 3, groups: int = 2, accuracy: bool = True) -> list[RoundData]:
    """Rounds of clients of whom number i takes i + 1 seconds, and that learn in `groups` directions by turns."""
    rng = np.random.default_rng(0)
    directions = 3 * rng.standard_normal((groups, 200))
    found = []
    for number in range(rounds):
        rows = directions[np.arange(clients) % groups] + rng.standard_normal((clients, 200))
        data = make_round(rows, [f"c{row:02d}" for row in range(clients)], number=number)
        told = [{"duration_s": row + 1.0, **({"accuracy": row / 100} if accuracy else {})} for row in range(clients)]
        members = tuple(member(f"c{row:02d}", told[row]) for row in range(clients))
        found.append(RoundData(Round(number, None, members, committed_at=1.0), data.statistics))
    return found


def test_tiers_are_equal_parts_by_speed() -> None:
    answer = ask(ASKED, history(), tiers=3)
    assert [tier.clients for tier in answer.tiers] == [[f"c{4 * t + i:02d}" for i in range(4)] for t in range(3)]
    assert [tier.mean_duration_s for tier in answer.tiers] == [2.5, 6.5, 10.5]


def test_probabilities_are_those_of_the_papers_algorithm() -> None:
    assert tier_probabilities([0.9, 0.2, 0.5]).tolist() == pytest.approx([0, 2 / 3, 1 / 3])
    assert tier_probabilities([0.5, 0.5, 0.5]).tolist() == pytest.approx([1 / 3] * 3)
    assert tier_probabilities([0.5, None]).tolist() == [0.5, 0.5]
    assert tier_probabilities([0.5]).tolist() == [1]
    assert [tier.probability for tier in ask(ASKED, history(), tiers=2).tiers] == [1, 0]


def test_tiers_are_drawn_as_often_as_their_probability_says() -> None:
    rounds = history(rounds=1)
    drawn = Counter(ask(ASKED, rounds, tiers=3, seed=seed).tier for seed in range(300))
    assert drawn[2] == 0
    assert drawn[0] / 300 == pytest.approx(2 / 3, abs=0.1)


def test_the_chosen_are_of_the_tier_and_of_all_groups() -> None:
    rounds = history(clients=24, groups=3)
    for seed in range(5):
        answer = ask(ASKED, rounds, tiers=2, count=6, seed=seed)
        assert set(answer.chosen) <= set(answer.tiers[answer.tier].clients)
        assert Counter(int(client[1:]) % 3 for client in answer.chosen) == {0: 2, 1: 2, 2: 2}
    assert [[int(client[1:]) % 3 for client in cluster] for cluster in answer.clusters] == [[0] * 8, [1] * 8, [2] * 8]


def test_a_small_tier_is_filled_from_those_nearest_in_speed() -> None:
    answer = ask(ASKED, history(), tiers=4, count=5)
    assert answer.tier in (0, 1, 2)
    assert len(set(answer.chosen)) == 5
    assert set(answer.tiers[answer.tier].clients) <= set(answer.chosen)
    everyone = ask(ASKED, history(), count=99)
    assert sorted(everyone.chosen) == [f"c{row:02d}" for row in range(12)]


def test_similarity_is_the_mean_over_rounds_that_both_were_in() -> None:
    rounds = [
        make_round(np.array([[1.0, 0], [1, 0], [0, 1]]), ["a", "b", "c"], number=0),
        make_round(np.array([[1.0, 0], [-1, 0], [0, 3]]), ["a", "b", "d"], number=1),
    ]
    found = mean_cosines(rounds, ["a", "b", "c", "d"])
    neutral = 0.0
    assert found.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, neutral], [0, 0, neutral, 1]]
    met = mean_cosines(rounds[:1], ["a", "b", "c", "d"])
    assert met[0, 3] == pytest.approx(1 / 3)


def test_a_round_without_updates_says_nothing_of_similarity() -> None:
    rounds = history(4)
    initial = RoundData(Round(0, None, (), member("aggregate"), committed_at=1.0))
    assert ask(ASKED, [initial, *rounds[1:]]).clusters == ask(ASKED, rounds[1:]).clusters


def test_the_same_seed_gives_the_same_clients() -> None:
    rounds = history(accuracy=False)
    assert ask(ASKED, rounds, seed=3) == ask(ASKED, rounds, seed=3)
    assert len({tuple(ask(ASKED, rounds, seed=seed).chosen) for seed in range(5)}) > 1


def test_one_client_equal_updates_zero_deltas_and_unknown_speeds_have_a_defined_answer() -> None:
    assert ask(ASKED, make_round(np.ones((1, 9)))).chosen == ["c0"]
    for rows in (np.ones((4, 9)), np.zeros((4, 9))):
        answer = ask(ASKED, make_round(rows), count=2)
        assert len(answer.chosen) == 2
        assert answer.tiers[0].mean_duration_s is None
    with pytest.raises(NotEnoughData, match="no client took part in these rounds; read more"):
        ask(ASKED, RoundData(Round(0, None, ()), None))


def test_the_newest_rounds_are_read() -> None:
    index = Index(committed=[1, 3, 5, 7])
    assert ASKED.select(ScheduleClustersParams(history=2), index) == [5, 7]
    assert ASKED.select(ScheduleClustersParams(history=2, last=6), index) == [3, 5]
    with pytest.raises(NotEnoughData, match=r"no round up to last \(0\) is committed; the first committed one is 1"):
        ASKED.select(ScheduleClustersParams(last=0), index)


def test_the_documented_example_of_probabilities() -> None:
    assert tier_probabilities([0.9, 0.5, 0.7]).tolist() == pytest.approx([0, 2 / 3, 1 / 3])


@pytest.mark.parametrize("metric", ["duration_s", "accuracy"])
def test_reports_too_large_to_compute_with_are_refused(metric: str) -> None:
    data = make_round(np.eye(3), number=1)
    members = tuple(replace(each, metrics={metric: 1e200}) for each in data.record.members)
    with pytest.raises(InvalidParameters, match=f"'{metric}' reaches 1e\\+200 in size"):
        ask(ASKED, replace(data, record=replace(data.record, members=members)))
