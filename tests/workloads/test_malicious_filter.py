"""The filter: Krum by its definition, planted attackers in real federated training, nobody accused without cause."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import NotEnoughData
from flstore_core.workloads.krum import krum_scores, tolerated
from flstore_core.workloads.malicious_filter import FilterParams, MaliciousFilter, judge
from tests.workloads.federated import Setting, TrainedRound, train
from tests.workloads.rounds import ask, make_round

ASKED = MaliciousFilter()


def brute_force_krum(rows: np.ndarray[Any, Any], byzantine: int) -> list[float]:
    """Blanchard et al. 2017, section 4: the sum over the n - f - 2 closest others, by plain loops."""
    scores = []
    for i, row in enumerate(rows):
        distances = sorted(float(((row - other) ** 2).sum()) for j, other in enumerate(rows) if j != i)
        scores.append(sum(distances[: len(rows) - byzantine - 2]))
    return scores


@given(st.integers(5, 12), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_krum_scores_are_those_of_the_definition(clients: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((clients, 20))
    byzantine = tolerated(clients, 0.3)
    assert 2 * byzantine + 2 < clients
    np.testing.assert_allclose(krum_scores(rows @ rows.T, byzantine), brute_force_krum(rows, byzantine), rtol=1e-9)


def test_krum_by_hand() -> None:
    rows = np.array([[0.0], [1], [2], [4], [100]])
    assert krum_scores(rows @ rows.T, 1).tolist() == [1 + 4, 1 + 1, 1 + 4, 4 + 9, 96**2 + 98**2]


def agreeing(clients: int = 10, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(500) + rng.standard_normal((clients, 500))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: -row, "points away"),
        (lambda row: 30 * row, "much longer"),
        (lambda row: 20 * np.random.default_rng(9).standard_normal(len(row)), "farther out"),
        (lambda row: 1e-5 * row, "next to nothing"),
        (lambda row: 0 * row, "next to nothing"),
    ],
    ids=["sign flip", "scaled", "noise", "tiny", "zero"],
)
@pytest.mark.parametrize("attackers", [1, 3])
def test_each_kind_of_attack_is_accused_with_its_reason(change: Any, reason: str, attackers: int) -> None:
    rows = agreeing()
    for row in range(attackers):
        rows[row] = change(rows[row])
    answer = ask(ASKED, make_round(rows))
    assert answer.malicious == [f"c{row}" for row in range(attackers)]
    assert all(reason in " ".join(verdict.reasons) for verdict in answer.verdicts[:attackers])


def test_nobody_is_accused_when_nobody_stands_out() -> None:
    for rows in (agreeing(), np.ones((6, 9)), np.zeros((6, 9)), agreeing(4)):
        assert ask(ASKED, make_round(rows)).malicious == []


def test_multi_krum_keeps_its_share_and_drops_the_farthest() -> None:
    rows = agreeing()
    rows[[2, 7]] *= -1
    kept = ask(ASKED, make_round(rows), byzantine=0.2).multi_krum
    assert kept == [f"c{row}" for row in range(10) if row not in (2, 7)]


def test_thresholds_are_the_callers_to_choose() -> None:
    rows = agreeing()
    rows[4] *= -1
    loose = {"alignment_threshold": 1e6, "krum_threshold": 1e6}
    assert ask(ASKED, make_round(rows)).malicious == ["c4"]
    assert ask(ASKED, make_round(rows), **loose).malicious == []


def test_fewer_than_four_updates_judge_nobody() -> None:
    with pytest.raises(NotEnoughData, match=r"has 3 update\(s\); at least 4"):
        ask(ASKED, make_round(agreeing(3)))


@given(st.integers(4, 9), st.integers(2, 6), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_slices_do_not_change_the_evidence(clients: int, slices: int, seed: int) -> None:
    rows = agreeing(clients, seed)
    one, many = ask(ASKED, make_round(rows)), ask(ASKED, make_round(rows, slices=slices))
    assert one.malicious == many.malicious
    for before, after in zip(one.verdicts, many.verdicts, strict=True):
        assert after.alignment == pytest.approx(before.alignment, abs=1e-6)
        assert after.krum == pytest.approx(before.krum, rel=1e-5)


def accused(trained: TrainedRound) -> set[int]:
    names = [str(client) for client in trained.clients]
    verdicts = judge(names, trained.deltas @ trained.deltas.T, FilterParams())
    return {int(verdict.client) for verdict in verdicts if verdict.malicious}


def recall_and_precision(attackers: Mapping[int, str], seed: int) -> tuple[float, float]:
    """Return both over all participations of a training of 20 rounds."""
    found = planted = blamed = 0
    for trained in train(Setting(attackers=attackers, seed=seed)):
        named, there = accused(trained), set(trained.clients) & attackers.keys()
        found, planted, blamed = found + len(named & there), planted + len(there), blamed + len(named)
    return found / planted, found / blamed


@pytest.mark.parametrize("kind", ["sign-flip", "scaled-noise", "free-rider"])
def test_attackers_in_real_training_are_found_and_nobody_else_is_accused(kind: str) -> None:
    recall, precision = recall_and_precision(dict.fromkeys(range(8), kind), seed=0)
    assert recall >= 0.95
    assert precision >= 0.95


def test_twenty_clean_rounds_of_real_training_accuse_nobody() -> None:
    trained = list(train(Setting(seed=1)))
    assert trained[-1].accuracy > 0.85
    assert [accused(each) for each in trained] == [set()] * 20


def test_three_planted_attackers_are_told_from_all_honest_clients() -> None:
    attackers = {3: "sign-flip", 17: "label-flip", 31: "scaled-noise"}
    named = set().union(*(accused(each) for each in train(Setting(attackers=attackers, seed=0))))
    assert {3, 31} <= named <= attackers.keys()
