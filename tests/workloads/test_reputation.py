"""Reputation against the beta distribution's formulas, by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

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


def test_the_documented_example() -> None:
    """Three good rounds and a bad one; the filter needs four updates to judge by."""
    rounds = [make_round(rows, number=number) for number, rows in enumerate([ALONG, ALONG, AGAINST, ALONG])]
    for evidence in ("alignment", "filter"):
        answer = ask(ASKED, rounds, client="c0", forgetting=1.0, evidence=evidence)
        assert answer.reputation == pytest.approx((3 + 1) / (3 + 1 + 2))
    assert ask(ASKED, [make_round(ALONG[:1])], client="c0").reputation == 0.5


@given(
    goods=st.lists(st.booleans(), min_size=1, max_size=6),
    forgetting=st.floats(0.1, 1),
    negative_weight=st.floats(0.1, 10),
)
@settings(max_examples=40, deadline=None)
def test_it_is_the_mean_of_the_beta_distribution(goods: list[bool], forgetting: float, negative_weight: float) -> None:
    rounds = [make_round(ALONG if good else AGAINST, number=number) for number, good in enumerate(goods)]
    answer = ask(ASKED, rounds, client="c0", forgetting=forgetting, negative_weight=negative_weight)
    weights = [forgetting ** (len(goods) - 1 - number) for number in range(len(goods))]
    positive = sum(weight for weight, good in zip(weights, goods, strict=True) if good)
    negative = negative_weight * sum(weight for weight, good in zip(weights, goods, strict=True) if not good)
    assert (answer.positive, answer.negative) == pytest.approx((positive, negative), abs=1e-6)
    assert answer.reputation == pytest.approx(beta(positive + 1, negative + 1).mean(), abs=1e-6)
    assert 0 < answer.uncertainty <= 1


def test_rounds_too_small_for_the_filter_are_skipped_and_the_others_keep_their_weights() -> None:
    rounds = [make_round(ALONG, number=0), make_round(ALONG[:3], number=1), make_round(AGAINST, number=2)]
    answer = ask(ASKED, rounds, client="c0", evidence="filter", forgetting=0.5)
    assert answer.skipped == [1]
    assert [(past.round, past.good, past.weight) for past in answer.history] == [(0, 1, 0.5), (2, 0, 1)]
