"""Cosine similarity against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from flstore_core.errors import NotEnoughData, NotFound
from flstore_core.workloads import RoundData, RoundParams
from flstore_core.workloads.cosine_similarity import CosineSimilarity
from tests.workloads.rounds import Index, ask, make_round

ASKED = CosineSimilarity()


def test_it_agrees_with_scikit_learn_between_clients_and_with_the_stored_aggregate() -> None:
    rng = np.random.default_rng(1)
    base, rows, aggregate = rng.standard_normal(300), rng.standard_normal((5, 300)), rng.standard_normal(300)
    answer = ask(ASKED, make_round(rows, base=base, aggregate=aggregate))
    np.testing.assert_allclose(answer.matrix, cosine_similarity(rows - base), atol=1e-6)
    expected = cosine_similarity(rows - base, [aggregate - base])[:, 0]
    np.testing.assert_allclose(answer.with_aggregate, expected, atol=1e-6)
    np.testing.assert_allclose(answer.norms, np.linalg.norm(rows - base, axis=1), rtol=1e-6)
    assert answer.aggregate == "stored"


def test_without_a_stored_aggregate_fedavg_of_all_clients_stands_in() -> None:
    rng = np.random.default_rng(2)
    rows, examples = rng.standard_normal((4, 60)), [1.0, 2.0, 3.0, 10.0]
    answer = ask(ASKED, make_round(rows, examples=examples), clients=["c2", "c0"])
    mean = np.average(rows, axis=0, weights=examples)
    np.testing.assert_allclose(answer.with_aggregate, cosine_similarity(rows[[2, 0]], [mean])[:, 0], atol=1e-6)
    assert (answer.clients, answer.aggregate) == (["c2", "c0"], "fedavg")


def test_by_hand() -> None:
    answer = ask(ASKED, make_round(np.array([[3.0, 0, 0], [0, 4, 0], [-1, 0, 0], [1, 1, 0]])))
    half = 1 / np.sqrt(2)
    expected = [[1, 0, -1, half], [0, 1, 0, half], [-1, 0, 1, -half], [half, half, -half, 1]]
    np.testing.assert_allclose(answer.matrix, expected, atol=1e-7)


def test_zero_updates_are_similar_to_nothing() -> None:
    answer = ask(ASKED, make_round(np.array([[0.0, 0, 0], [1, 0, 0]])))
    assert answer.matrix == [[0, 0], [0, 1]]
    assert answer.with_aggregate == [0, 1]
    assert ask(ASKED, make_round(np.zeros((2, 3)))).with_aggregate == [0, 0]


def test_one_client_and_equal_updates_are_answered() -> None:
    assert ask(ASKED, make_round(np.ones((1, 3)))).matrix == [[1]]
    np.testing.assert_allclose(ask(ASKED, make_round(np.ones((3, 7)))).matrix, np.ones((3, 3)), atol=1e-7)


@given(st.integers(2, 6), st.integers(3, 200), st.integers(2, 7), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_slices_do_not_change_the_answer(clients: int, parameters: int, slices: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((clients, parameters))
    one, many = ask(ASKED, make_round(rows)), ask(ASKED, make_round(rows, slices=slices))
    np.testing.assert_allclose(one.matrix, many.matrix, atol=1e-6)
    np.testing.assert_allclose(one.with_aggregate, many.with_aggregate, atol=1e-6)


def test_a_client_who_is_not_there_and_missing_statistics_are_named() -> None:
    data = make_round(np.ones((2, 3)), ["anna", "bert"])
    with pytest.raises(NotFound, match="anna"):
        ask(ASKED, data, clients=["ann"])
    with pytest.raises(NotEnoughData, match="statistics 'exact'"):
        ask(ASKED, RoundData(data.record))


def test_the_newest_committed_round_is_read_unless_one_is_named() -> None:
    index = Index(committed=[1, 2, 5], open=[6])
    assert ASKED.select(RoundParams(), index) == (5,)
    assert ASKED.select(RoundParams(round=6), index) == (6,)
    with pytest.raises(NotFound, match="run from 1 to 5"):
        ASKED.select(RoundParams(round=3), index)
    with pytest.raises(NotEnoughData, match="no round is committed"):
        ASKED.select(RoundParams(), Index(open=[0]))


def test_the_documented_example() -> None:
    answer = ask(ASKED, make_round(np.array([[3.0, 0, 0], [1, 1, 0]]), number=4))
    assert answer.matrix[0][1] == pytest.approx(3 / (3 * 2**0.5))
    assert answer.norms == pytest.approx([3, 2**0.5])
    assert answer.round == 4
