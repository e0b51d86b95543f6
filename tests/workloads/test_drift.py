"""Drift on planted changes, and by hand."""

import numpy as np
import pytest

from flstore_core.errors import NotFound
from flstore_core.workloads import RoundData
from flstore_core.workloads.drift import Drift, DriftParams
from tests.workloads.rounds import Index, ask, make_round

ASKED = Drift()
ALONG = np.tile([1.0, 0, 0], (6, 1))


def history(turned: int, scale: float, rounds: int = 12) -> list[RoundData]:
    """Rounds in which `c0` behaves like the others until round `turned`, then as `scale` times what they send."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(rounds):
        rows = np.ones(60) + 0.5 * rng.standard_normal((8, 60))
        rows[0] *= scale if number >= turned else 1.0
        found.append(make_round(rows, number=number))
    return found


@pytest.mark.parametrize("scale", [-1.0, 4.0])
def test_a_client_that_turns_or_grows_changed_in_that_round(scale: float) -> None:
    answer = ask(ASKED, history(7, scale), client="c0")
    (change,) = answer.changes
    assert change.round == 7
    assert (change.alignment_before > 0.5, change.alignment_after > 0.5) == (True, scale > 0)
    assert change.relative_norm_after == pytest.approx(abs(scale) * change.relative_norm_before, rel=0.2)
    assert (answer.alignment, answer.relative_norm) == (change.alignment_after, change.relative_norm_after)


def test_nobody_changed_where_all_go_on_as_before() -> None:
    for client in ("c0", "c5"):
        assert ask(ASKED, history(99, 1.0), client=client).changes == []
    assert ask(ASKED, history(7, -1.0), client="c5").changes == []


def test_a_position_by_hand() -> None:
    rows = np.array([[0.0, 3, 4], [1, 0, 0], [0, 2, 0], [0, 2, 0]])
    (position,) = ask(ASKED, make_round(rows, number=9), client="c0").history
    assert (position.round, position.norm, position.relative_norm) == (9, 5, 2.5)
    assert -1 <= position.alignment <= 1
    (other,) = ask(ASKED, make_round(np.vstack([-ALONG[:1], ALONG[1:]])), client="c0").history
    assert other.alignment == pytest.approx(-1)


def test_zero_deltas_and_rounds_alone_have_a_defined_answer() -> None:
    zero = ask(ASKED, [make_round(np.zeros((4, 9)), number=number) for number in range(3)], client="c0")
    assert zero.changes == []
    assert [(each.alignment, each.relative_norm) for each in zero.history] == [(0, None)] * 3
    alone = ask(ASKED, [make_round(ALONG[:1], number=4)], client="c0")
    assert (alone.skipped, alone.history, alone.relative_norm) == ([4], [], 1.0)
    equal = ask(ASKED, [make_round(ALONG, number=number) for number in range(5)], client="c0")
    assert (equal.changes, equal.alignment) == ([], pytest.approx(1.0))


def test_only_the_last_participations_are_read() -> None:
    index = Index(committed=range(9), clients={"c0": [1, 4, 5, 8]})
    assert ASKED.select(DriftParams("c0", last=2), index) == [5, 8]
    with pytest.raises(NotFound, match="nearest: c0"):
        ASKED.select(DriftParams("c1"), index)


def test_the_documented_example() -> None:
    rng = np.random.default_rng(1)
    rounds = []
    for number in range(14):
        rows = np.ones((8, 400)) + 0.2 * rng.standard_normal((8, 400))
        across = np.tile([1.0, -1.0], 200)
        rows[0] = 0.8 * np.ones(400) * (1 if number < 7 else -1) + 0.6 * across
        rounds.append(make_round(rows, number=number))
    answer = ask(ASKED, rounds, client="c0")
    (change,) = answer.changes
    assert change.round == 7
    assert (change.alignment_before, change.alignment_after) == pytest.approx((0.8, -0.8), abs=0.02)
    assert answer.alignment == change.alignment_after


def test_a_greater_penalty_reports_fewer_changes() -> None:
    counts = [len(ask(ASKED, history(7, 1.6), client="c0", penalty=penalty).changes) for penalty in (0.1, 2.0, 1e6)]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0] >= 1, counts[-1]) == (True, 0)
