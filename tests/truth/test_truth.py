"""The bars of planted truth, on trainings of a seed that nothing was tuned on, asked with default parameters."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tests.truth.accusations import METHODS, Count, try_methods
from tests.truth.others import METHODS as GROUPINGS
from tests.truth.others import rand_indices, ranks_of_noisy
from tests.truth.page import PAGE
from tests.truth.trainings import ATTACKS, LEARNING, Case

SEED = 301
ADAM, MOMENTUM, PLAIN = LEARNING


@pytest.fixture(autouse=True)
def _one_core() -> Iterator[None]:
    """These networks are so small that more threads only wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize(
    ("learning", "attack"),
    [
        (ADAM, "sign-flip"),
        (MOMENTUM, "sign-flip"),
        (ADAM, "scaled-noise"),
        (PLAIN, "scaled-noise"),
    ],
)
def test_attackers_are_found_and_nobody_else_is_blamed(learning: str, attack: str) -> None:
    found = try_methods(Case(learning, attack, 0.2, SEED), ["robust"])["robust"]
    assert found.planted >= 25
    assert found.recall >= 0.95
    assert found.precision >= 0.95


def test_most_that_send_the_opposite_are_found_where_honest_updates_are_hardly_alike() -> None:
    found = try_methods(Case(PLAIN, "sign-flip", 0.2, SEED), ["robust"])["robust"]
    assert found.recall >= 0.75
    assert found.precision >= 0.95


@pytest.mark.parametrize("learning", LEARNING)
def test_twenty_clean_rounds_accuse_nobody(learning: str) -> None:
    assert try_methods(Case(learning, "", 0.0, SEED), ["robust"])["robust"] == Count(0, 0, 0, 200)


@pytest.mark.parametrize("learning", [ADAM, MOMENTUM])
def test_planted_groups_are_found(learning: str) -> None:
    found = rand_indices(10.0, SEED, rounds=4, **LEARNING[learning])
    assert min(found["kmeans"], found["agglomerative"]) >= 0.9


@pytest.mark.parametrize("learning", LEARNING)
def test_a_client_with_noisy_labels_is_last_in_contribution(learning: str) -> None:
    found = ranks_of_noisy(10.0, SEED, rounds=5, **LEARNING[learning])
    assert (found["alignment"], found["shapley"]) == (9, 9)


def test_the_page_has_a_row_for_each_training_and_attack_and_all_methods() -> None:
    text = PAGE.read_text()
    for methods in (METHODS, GROUPINGS):
        assert f"| {' | '.join(methods)} |" in text
    for learning in LEARNING:
        for attack in ("none", *ATTACKS):
            assert f"| {learning} | {attack} |" in text
