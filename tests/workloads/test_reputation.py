"""Reputation against the beta distribution's formulas, by hand."""

import numpy as np
import pytest

from flstore_core.errors import NotFound
from flstore_core.workloads.reputation import Reputation, ReputationParams
from tests.workloads.rounds import Index, ask, make_round

ASKED = Reputation()
ALONG = np.tile([1.0, 0, 0], (6, 1))
AGAINST = np.vstack([[-1.0, 0, 0], ALONG[1:]])
ACROSS = np.vstack([[0.0, 1, 0], ALONG[1:]])


def test_always_along_counts_every_round_as_good() -> None:
    rounds = [make_round(ALONG, number=number) for number in range(4)]
    answer = ask(ASKED, rounds, client="c0", forgetting=1.0)
    assert answer.reputation == pytest.approx(5 / 6)
    assert (answer.positive, answer.negative) == pytest.approx((4, 0))
    assert answer.uncertainty == pytest.approx(1 / 3)


def test_recent_rounds_weigh_more() -> None:
    rounds = [make_round(AGAINST, number=1), make_round(ACROSS, number=3), make_round(ALONG, number=7)]
    answer = ask(ASKED, rounds, client="c0", forgetting=0.5)
    assert [past.round for past in answer.history] == [1, 3, 7]
    assert [past.alignment for past in answer.history] == pytest.approx([-1, 0, 1])
    assert [past.weight for past in answer.history] == [0.25, 0.5, 1]
    assert answer.positive == pytest.approx(0.5 * 0.5 + 1)
    assert answer.negative == pytest.approx(0.25 + 0.5 * 0.5)
    assert answer.reputation == pytest.approx(2.25 / 3.75)


def test_bad_rounds_can_weigh_more_than_good_ones() -> None:
    rounds = [make_round(AGAINST, number=0), make_round(ALONG, number=1)]
    answer = ask(ASKED, rounds, client="c0", forgetting=1.0, negative_weight=3.0)
    assert answer.reputation == pytest.approx(2 / 6)


def test_the_filters_verdict_can_be_the_evidence() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((8, 30))
    honest = np.ones((8, 30)) + noise
    flipped = np.vstack([-honest[:1], honest[1:]])
    rounds = [make_round(flipped, number=0), make_round(honest, number=1)]
    answer = ask(ASKED, rounds, client="c0", evidence="filter", forgetting=1.0)
    assert [past.good for past in answer.history] == [0, 1]
    assert ask(ASKED, rounds, client="c1", evidence="filter").negative == 0


def test_rounds_that_tell_nothing_are_skipped_by_name() -> None:
    rounds = [make_round(ALONG[:1], number=2), make_round(ALONG, number=5)]
    answer = ask(ASKED, rounds, client="c0")
    assert (answer.skipped, len(answer.history)) == ([2], 1)
    alone = ask(ASKED, rounds[:1], client="c0")
    assert (alone.reputation, alone.uncertainty) == (0.5, 1.0)


def test_a_zero_update_is_neither_good_nor_bad() -> None:
    rows = np.vstack([np.zeros(3), ALONG[1:]])
    assert ask(ASKED, make_round(rows), client="c0").history[0].good == 0.5


def test_only_the_last_participations_are_read() -> None:
    index = Index(committed=range(9), clients={"c0": [1, 4, 5, 8]})
    assert ASKED.select(ReputationParams("c0", last=2), index) == [5, 8]
    with pytest.raises(NotFound, match="nearest: c0"):
        ASKED.select(ReputationParams("c1"), index)


def test_slices_do_not_change_the_answer() -> None:
    rows = np.random.default_rng(1).standard_normal((6, 100))
    one, many = (ask(ASKED, make_round(rows, slices=slices), client="c3") for slices in (1, 5))
    assert one.reputation == pytest.approx(many.reputation, abs=1e-6)
