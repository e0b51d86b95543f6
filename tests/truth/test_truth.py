"""The bars of planted truth, on trainings short enough for a test run, where the page claims them."""

import pytest

from tests.truth.accusations import METHODS, Count, try_methods
from tests.truth.others import METHODS as GROUPINGS
from tests.truth.others import rand_indices, ranks_of_noisy
from tests.truth.page import PAGE
from tests.truth.trainings import ATTACKS, LEARNING, Case

SEED = 300
ADAM, MOMENTUM, PLAIN = LEARNING


@pytest.mark.parametrize(
    ("learning", "attack", "method"),
    [
        (ADAM, "scaled-noise", "robust"),
        (MOMENTUM, "scaled-noise", "robust"),
        (PLAIN, "scaled-noise", "robust"),
        (ADAM, "sign-flip", "fltrust"),
        (MOMENTUM, "sign-flip", "fltrust"),
    ],
)
def test_attackers_are_found_and_nobody_else_is_blamed(learning: str, attack: str, method: str) -> None:
    counts = try_methods(Case(learning, attack, 0.2, SEED), [method])[method]
    assert counts.planted >= 25
    assert counts.recall >= 0.95
    assert counts.precision >= 0.95


def test_twenty_clean_rounds_accuse_nobody() -> None:
    assert try_methods(Case(ADAM, "", 0.0, SEED), ["robust"])["robust"] == Count(0, 0, 0, 200)


def test_plain_sgd_accuses_next_to_nobody_in_clean_rounds() -> None:
    blamed = try_methods(Case(PLAIN, "", 0.0, SEED), ["robust"])["robust"]
    assert blamed.blamed <= 0.02 * blamed.honest


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
