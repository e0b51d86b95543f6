"""Federated training on scikit-learn's handwritten digits, with three attackers.

FedAvg (McMahan et al. 2017, arXiv:1602.05629) over clients whose labels are split by a Dirichlet distribution (Hsu et
al. 2019, arXiv:1909.06335). No HTTP here: the updates are returned as arrays and metrics.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from flstore_core.ids import ClientId
from flstore_core.records import Metrics

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[np.float32]]

LABELS = np.arange(10)
_LEAST_EXAMPLES = 8


class Attack(StrEnum):
    """An attacker's behaviour."""

    SIGN_FLIP = "sign flip"
    """Sends its honest delta with the sign flipped."""

    LABEL_FLIP = "label flip"
    """Trains on flipped labels: every 0 becomes a 9, every 1 an 8, …"""

    SCALED_NOISE = "scaled noise"
    """Sends noise whose norm is a multiple of its honest delta's."""


@dataclass(frozen=True)
class Setup:
    """The training's settings."""

    clients: int = 50
    clients_per_round: int = 10
    rounds: int = 20
    alpha: float = 0.5
    """Of the Dirichlet distribution: the smaller, the fewer digits a client knows."""
    hidden: tuple[int, ...] = (512, 512)
    """Units of the hidden layers: more than the digits need, so that updates are large enough to measure."""
    epochs: int = 2
    batch_size: int = 4
    learning_rate: float = 0.05
    held_out: int = 360
    """Digits that no client sees; the global model is scored on them."""
    noise: float = 3.0
    """Norm of a scaled-noise delta, over that of the honest one."""
    seed: int = 4

    @property
    def hyperparameters(self) -> Metrics:
        """What is stored with every round."""
        return {name: asdict(self)[name] for name in ("epochs", "batch_size", "learning_rate", "hidden", "alpha")}


@dataclass(frozen=True)
class Update:
    """What one client sends."""

    client: ClientId
    arrays: Arrays
    metrics: Metrics


@dataclass(frozen=True)
class TrainedRound:
    """One round: what its clients sent, and the global model it ended with."""

    number: int
    updates: tuple[Update, ...]
    aggregate: Arrays
    metrics: Metrics


@dataclass(frozen=True)
class Training:
    """A training that can be run again and again with the same outcome, durations aside."""

    setup: Setup = field(default_factory=Setup)

    @cached_property
    def attackers(self) -> Mapping[ClientId, Attack]:
        """The dishonest clients: those with the most examples of all, so that what they do carries weight."""
        by_size = sorted(range(self.setup.clients), key=lambda index: -len(self._data.shares[index]))
        return dict(zip(map(_name, by_size), Attack, strict=False))

    @property
    def initial(self) -> Arrays:
        """The global model before the first round."""
        return _arrays(self._new_model())

    def rounds(self) -> Iterator[TrainedRound]:
        """Yield rounds 1, 2, … as they are trained."""
        model, theta = self._new_model(), self.initial
        for number, chosen in enumerate(self._schedule(), start=1):
            updates = tuple(self._local(model, theta, number, client) for client in chosen)
            theta = fedavg(updates)
            _load(model, theta)
            loss, accuracy = _score(model, self._data.test_features, self._data.test_labels)
            yield TrainedRound(number, updates, theta, {"loss": loss, "accuracy": accuracy})

    @cached_property
    def _data(self) -> "_Data":
        return _Data.of(self.setup)

    def _schedule(self) -> Iterator[Sequence[int]]:
        """Yield who takes part in each round; everybody does once before anybody does again."""
        rng = np.random.default_rng((self.setup.seed, 1))
        waiting: list[int] = []
        for _ in range(self.setup.rounds):
            if len(waiting) < self.setup.clients_per_round:
                waiting += rng.permutation([i for i in range(self.setup.clients) if i not in waiting]).tolist()
            chosen, waiting = waiting[: self.setup.clients_per_round], waiting[self.setup.clients_per_round :]
            yield sorted(chosen)

    def _local(self, model: MLPClassifier, theta: Arrays, number: int, index: int) -> Update:
        """Train client number `index` from the global model `theta` and return what it sends."""
        started, client = time.perf_counter(), _name(index)
        attack = self.attackers.get(client)
        features, labels = self._data.of_client(index)
        shown = LABELS[-1] - labels if attack is Attack.LABEL_FLIP else labels
        _load(model, theta)
        before, _ = _score(model, features, shown)
        model.set_params(random_state=1000 * number + index, batch_size=min(self.setup.batch_size, len(labels)))
        for _ in range(self.setup.epochs):
            model.partial_fit(features, shown)
        after, accuracy = _score(model, features, shown)
        metrics = {
            "num_examples": len(labels),
            "loss_before": before,
            "loss": after,
            "accuracy": accuracy,
            "duration_s": time.perf_counter() - started,
        }
        rng = np.random.default_rng((self.setup.seed, number, index))
        return Update(client, _sent(theta, _arrays(model), attack, self.setup.noise, rng), metrics)

    def _new_model(self) -> MLPClassifier:
        setup = self.setup
        model = MLPClassifier(
            setup.hidden,
            solver="sgd",
            momentum=0.0,
            learning_rate_init=setup.learning_rate,
            batch_size=setup.batch_size,
            random_state=setup.seed,
        )
        features, labels = self._data.of_client(0)
        return model.partial_fit(features[: setup.batch_size], labels[: setup.batch_size], classes=LABELS)


@dataclass(frozen=True)
class _Data:
    """The digits, and who has which."""

    features: Floats
    labels: NDArray[np.int64]
    test_features: Floats
    test_labels: NDArray[np.int64]
    shares: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, setup: Setup) -> "_Data":
        rng = np.random.default_rng(setup.seed)
        features, labels = load_digits(return_X_y=True)
        order = rng.permutation(len(labels))
        test, train = order[: setup.held_out], order[setup.held_out :]
        features = (features / 16.0).astype(np.float32)
        shares = dirichlet_split(labels[train], setup.clients, setup.alpha, rng)
        return cls(features[train], labels[train], features[test], labels[test], shares)

    def of_client(self, index: int) -> tuple[Floats, NDArray[np.int64]]:
        return self.features[self.shares[index]], self.labels[self.shares[index]]


def dirichlet_split(
    labels: NDArray[np.int64], clients: int, alpha: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], ...]:
    """Return each client's indices into `labels`: every label is dealt out by its own Dirichlet(alpha) draw.

    Draws that leave a client with hardly anything to train on are thrown away.
    """
    while True:
        shares: list[list[int]] = [[] for _ in range(clients)]
        for label in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == label))
            cuts = np.cumsum(rng.dirichlet(np.full(clients, alpha)))[:-1] * len(members)
            for share, part in zip(shares, np.split(members, cuts.astype(int)), strict=True):
                share += part.tolist()
        if min(map(len, shares)) >= _LEAST_EXAMPLES:
            return tuple(np.array(share) for share in shares)


def fedavg(updates: Sequence[Update]) -> Arrays:
    """Return the mean of the updates, weighted by `num_examples`, as float32."""
    weights = np.array([update.metrics["num_examples"] for update in updates], np.float64)
    weights /= weights.sum()
    return {
        name: np.tensordot(weights, np.stack([update.arrays[name] for update in updates]), axes=1).astype(np.float32)
        for name in updates[0].arrays
    }


def _sent(
    base: Arrays, trained: Arrays, attack: Attack | None, noise: float, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    if attack is Attack.SIGN_FLIP:
        return {name: 2 * base[name] - array for name, array in trained.items()}  # base - (array - base)
    if attack is Attack.SCALED_NOISE:
        length = np.sqrt(sum(float(np.sum((array - base[name]) ** 2)) for name, array in trained.items()))
        drawn = {name: rng.standard_normal(array.shape).astype(np.float32) for name, array in trained.items()}
        factor = np.float32(noise * length / np.sqrt(sum(float(np.sum(array**2)) for array in drawn.values())))
        return {name: base[name] + factor * array for name, array in drawn.items()}
    return dict(trained)


def _score(model: MLPClassifier, features: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return cross-entropy and accuracy."""
    chances = model.predict_proba(features)
    of_truth = np.maximum(chances[np.arange(len(labels)), labels], np.finfo(np.float64).tiny)
    return float(-np.log(of_truth).mean()), float(np.mean(chances.argmax(axis=1) == labels))


def _arrays(model: MLPClassifier) -> Arrays:
    weights = {f"layers.{index}.weight": array.astype(np.float32) for index, array in enumerate(model.coefs_)}
    biases = {f"layers.{index}.bias": array.astype(np.float32) for index, array in enumerate(model.intercepts_)}
    return weights | biases


def _load(model: MLPClassifier, arrays: Arrays) -> None:
    layers = range(len(model.coefs_))
    model.coefs_ = [arrays[f"layers.{index}.weight"].copy() for index in layers]
    model.intercepts_ = [arrays[f"layers.{index}.bias"].copy() for index in layers]


def _name(index: int) -> ClientId:
    return ClientId(f"client-{index:02d}")
