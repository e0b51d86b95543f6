"""The bars of planted truth, on trainings short enough for a test run, where the page claims them."""

import pytest

from tests.truth.accusations import METHODS, Count, total, try_methods
from tests.truth.others import METHODS as GROUPINGS
from tests.truth.others import rand_indices, ranks_of_noisy
from tests.truth.page import PAGE
from tests.truth.trainings import ATTACKS, LEARNING, Case

SEEDS = (200, 201)
ADAM, MOMENTUM, PLAIN = LEARNING


@pytest.mark.parametrize("attack", ["sign-flip", "scaled-noise"])
def test_the_default_filter_finds_attackers_and_blames_nobody_else(attack: str) -> None:
    counts = total(try_methods(Case(ADAM, attack, 0.2, seed), ["robust"])["robust"] for seed in SEEDS)
    assert counts.planted >= 50
    assert counts.recall >= 0.95
    assert counts.precision >= 0.95


@pytest.mark.parametrize("learning", [MOMENTUM, PLAIN])
def test_noise_is_found_however_clients_train(learning: str) -> None:
    counts = try_methods(Case(learning, "scaled-noise", 0.2, SEEDS[0]), ["robust"])["robust"]
    assert counts.recall >= 0.95
    assert counts.precision >= 0.95


def test_twenty_clean_rounds_accuse_nobody() -> None:
    assert try_methods(Case(ADAM, "", 0.0, SEEDS[0]), ["robust"])["robust"] == Count(0, 0, 0, 200)


def test_plain_sgd_accuses_next_to_nobody_in_clean_rounds() -> None:
    blamed = total(try_methods(Case(PLAIN, "", 0.0, seed), ["robust"])["robust"] for seed in SEEDS)
    assert blamed.blamed <= 0.02 * blamed.honest


@pytest.mark.parametrize("learning", LEARNING)
def test_planted_groups_are_found(learning: str) -> None:
    found = rand_indices(10.0, SEEDS[0], rounds=4, **LEARNING[learning])
    assert min(found["kmeans"], found["agglomerative"]) >= 0.9


@pytest.mark.parametrize("learning", LEARNING)
def test_a_client_with_noisy_labels_is_last_in_contribution(learning: str) -> None:
    found = ranks_of_noisy(10.0, SEEDS[0], rounds=5, **LEARNING[learning])
    assert (found["alignment"], found["shapley"]) == (9, 9)


def test_the_page_has_a_row_for_each_training_and_attack_and_all_methods() -> None:
    text = PAGE.read_text()
    for methods in (METHODS, GROUPINGS):
        assert f"| {' | '.join(methods)} |" in text
    for learning in LEARNING:
        for attack in ("none", *ATTACKS):
            assert f"| {learning} | {attack} |" in text
