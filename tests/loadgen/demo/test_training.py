"""The demonstration's training: it learns, its attackers attack as they say, and it can be run again."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from flstore_core.ids import ClientId
from loadgen.demo.training import Arrays, Attack, Setup, TrainedRound, Training, dirichlet_split, fedavg

Vector = NDArray[np.float64]

SMALL = Setup(clients=12, clients_per_round=4, rounds=6, hidden=(32,))


@pytest.fixture(scope="module")
def training() -> Training:
    return Training(SMALL)


@pytest.fixture(scope="module")
def rounds(training: Training) -> list[TrainedRound]:
    return list(training.rounds())


def flat(arrays: Arrays) -> Vector:
    return np.concatenate([arrays[name].astype(np.float64).ravel() for name in sorted(arrays)])


def first_delta(training: Training, client: str) -> Vector:
    """Return what `client` sends the first time, less what it started from."""
    base = training.initial
    for each in training.rounds():
        for update in each.updates:
            if update.client == client:
                return flat(update.arrays) - flat(base)
        base = each.aggregate
    raise AssertionError(f"{client} never takes part")


def attacker(training: Training, wanted: Attack) -> ClientId:
    (client,) = [name for name, attack in training.attackers.items() if attack is wanted]
    return client


def honest_twin(training: Training, client: str) -> Training:
    """Return the same training in which `client` is honest; the attackers before it stay what they are."""
    twin = Training(training.setup)
    twin.__dict__["attackers"] = {name: attack for name, attack in training.attackers.items() if name != client}
    return twin


def test_everybody_takes_part_equally_often(rounds: list[TrainedRound]) -> None:
    taken = [update.client for each in rounds for update in each.updates]
    assert len(set(taken)) == SMALL.clients
    assert all(taken.count(client) == 2 for client in taken)
    assert [each.number for each in rounds] == list(range(1, 7))


def test_the_same_seed_trains_the_same(rounds: list[TrainedRound]) -> None:
    for mine, again in zip(rounds, Training(SMALL).rounds(), strict=True):
        assert [update.client for update in mine.updates] == [update.client for update in again.updates]
        assert np.array_equal(flat(mine.aggregate), flat(again.aggregate))
        assert mine.metrics == again.metrics


def test_another_seed_trains_otherwise(rounds: list[TrainedRound]) -> None:
    other = next(Training(Setup(**{**vars(SMALL), "seed": SMALL.seed + 1})).rounds())
    assert not np.array_equal(flat(rounds[0].aggregate), flat(other.aggregate))


def test_honest_training_lowers_the_clients_own_loss(rounds: list[TrainedRound]) -> None:
    for each in rounds:
        for update in each.updates:
            assert update.metrics["loss"] < update.metrics["loss_before"]
            assert update.metrics["num_examples"] >= 8
            assert update.metrics["duration_s"] > 0


def test_sign_flipping_turns_the_honest_delta_around(training: Training) -> None:
    client = attacker(training, Attack.SIGN_FLIP)
    sent, honest = (first_delta(each, client) for each in (training, honest_twin(training, client)))
    assert np.allclose(sent, -honest, atol=1e-6)


def test_scaled_noise_has_the_length_it_claims_and_no_direction(training: Training) -> None:
    client = attacker(training, Attack.SCALED_NOISE)
    sent, honest = (first_delta(each, client) for each in (training, honest_twin(training, client)))
    assert np.linalg.norm(sent) == pytest.approx(SMALL.noise * np.linalg.norm(honest), rel=1e-3)
    assert abs(sent @ honest) < 0.15 * np.linalg.norm(sent) * np.linalg.norm(honest)


def test_label_flipping_learns_that_a_zero_is_a_nine(training: Training, rounds: list[TrainedRound]) -> None:
    client = attacker(training, Attack.LABEL_FLIP)
    features, labels = training._data.of_client(int(client.removeprefix("client-")))
    first = next(update for each in rounds for update in each.updates if update.client == client)
    hidden = np.maximum(features @ first.arrays["layers.0.weight"] + first.arrays["layers.0.bias"], 0)
    logits = hidden @ first.arrays["layers.1.weight"] + first.arrays["layers.1.bias"]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    flipped = -np.log(chances[np.arange(len(labels)), 9 - labels]).mean()
    assert first.metrics["loss"] == pytest.approx(flipped, rel=1e-3)


def test_the_aggregate_is_the_mean_by_examples(rounds: list[TrainedRound]) -> None:
    for each in rounds:
        weights = [update.metrics["num_examples"] for update in each.updates]
        expected = np.average([flat(update.arrays) for update in each.updates], axis=0, weights=weights)
        assert np.allclose(flat(fedavg(each.updates)), expected, atol=1e-6)


def test_the_split_deals_out_every_digit_once_and_unevenly() -> None:
    labels = load_digits().target
    shares = dirichlet_split(labels, 50, 0.5, np.random.default_rng(0))
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(labels)))
    assert min(map(len, shares)) >= 8
    known = [len(set(labels[share])) for share in shares]
    assert np.mean(known) < 8


def test_fifty_clients_learn_to_read(full_training: list[TrainedRound]) -> None:
    assert full_training[-1].metrics["accuracy"] > 0.9
    assert full_training[-1].metrics["loss"] < full_training[0].metrics["loss"]
