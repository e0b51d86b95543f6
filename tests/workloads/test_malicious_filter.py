"""The filter: each kind of attack with its reason, nobody accused without cause.

What it finds in real federated trainings is in tests/truth.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import NotEnoughData
from flstore_core.records import Round
from flstore_core.workloads import RoundData
from flstore_core.workloads.malicious_filter import MaliciousFilter
from tests.workloads.rounds import ask, make_round

ASKED = MaliciousFilter()


def agreeing(clients: int = 10, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(500) + rng.standard_normal((clients, 500))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: -row, "points the opposite way"),
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
    loose = {"opposition_threshold": 1e6, "alignment_threshold": 1e6, "krum_threshold": 1e6}
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


def test_one_round_shows_and_all_rounds_prove_who_sends_the_opposite() -> None:
    """Four of twelve directions are shared by two clients each; c0 sends the opposite of what c1 does in every round,
    which after one round might be the fault of either.
    """
    rng = np.random.default_rng(3)
    directions = rng.standard_normal((6, 400))
    rounds = []
    for number, there in enumerate([(0, 1, 4, 5, 6, 7), (0, 2, 4, 5, 6, 7), (0, 3, 1, 2, 6, 7)]):
        rows = np.array([directions[client // 4] + 0.5 * rng.standard_normal(400) for client in there])
        rows[0] *= -1
        rounds.append(make_round(rows, [f"c{client}" for client in there], number=number))
    at_the_time = [ask(ASKED, rounds[: number + 1], round=number).verdicts[0].opposition for number in range(3)]
    assert at_the_time == sorted(at_the_time)
    looking_back = ask(ASKED, rounds, round=0)
    assert looking_back.malicious == ["c0"]
    assert looking_back.looked_at == [0, 1, 2]
    assert ask(ASKED, rounds, round=2).malicious == ["c0"]


def test_rounds_without_clients_say_nothing() -> None:
    rows = agreeing()
    rows[4] *= -1
    empty = RoundData(Round(0, None, (), None, committed_at=1.0))
    assert ask(ASKED, [empty, make_round(rows, number=1)], round=1).malicious == ["c4"]
