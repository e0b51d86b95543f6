"""Federated training on scikit-learn's digits, with planted attackers: deltas as real FL makes them, in seconds."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

Vector = NDArray[np.float64]
CLASSES = np.arange(10)


@dataclass(frozen=True)
class Setting:
    """How a training is run; attackers by client number: `sign-flip`, `label-flip`, `scaled-noise`, `free-rider` or
    `noisy-labels`.
    """

    attackers: Mapping[int, str] = field(default_factory=dict)
    clients: int = 50
    per_round: int = 10
    rounds: int = 20
    alpha: float = 0.5
    hidden: int = 32
    epochs: int = 5
    batch: int = 16
    rate: float = 0.003
    momentum: float = 0.9
    solver: str = "adam"
    noise: float = 3.0
    """Norm of a scaled-noise attacker's update over that of its honest one."""
    groups: int = 1
    """Client number i is of group i % groups; each group has names of its own for the digits."""
    root_examples: int = 0
    """Held-out digits on which the server trains an update of its own in each round, which it does not add up."""
    seed: int = 0


@dataclass(frozen=True)
class TrainedRound:
    """One round: who took part, what each sent, and what it was made of."""

    base: Vector
    clients: tuple[int, ...]
    deltas: Vector
    """Shape (clients, parameters)."""
    examples: NDArray[np.float64]
    losses: NDArray[np.float64]
    accuracy: float
    """Of the aggregate, on held-out digits."""
    root: Vector | None = None
    """The server's own delta, where it trains one."""


def train(setting: Setting) -> Iterator[TrainedRound]:
    """Yield the rounds of a training with FedAvg."""
    rng = np.random.default_rng(setting.seed)
    features, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(labels))
    features, labels = features[order] / 16.0, labels[order]
    held_out = slice(0, 360)
    shares = split(labels[360:], setting.clients, setting.alpha, rng)
    template = _template(setting, features, labels)
    theta = flat(template)
    for _ in range(setting.rounds):
        chosen = tuple(sorted(rng.choice(setting.clients, setting.per_round, replace=False).tolist()))
        rows, losses = [], []
        for client in chosen:
            mine = 360 + shares[client]
            attack = setting.attackers.get(client, "")
            named = (labels[mine] + 3 * (client % setting.groups)) % 10
            delta, loss = _local(template, theta, features[mine], named, attack, setting, rng)
            rows.append(delta)
            losses.append(loss)
        own = slice(0, setting.root_examples)
        root = (
            _local(template, theta, features[own], labels[own], "", setting, rng)[0] if setting.root_examples else None
        )
        deltas = np.array(rows)
        examples = np.array([float(len(shares[client])) for client in chosen])
        base, theta = theta, theta + examples @ deltas / examples.sum()
        score = _with(template, theta).score(features[held_out], labels[held_out])
        yield TrainedRound(base, chosen, deltas, examples, np.array(losses), score, root)


@dataclass(frozen=True)
class Sites:
    """The data of a setting, where clients keep it, for training and judging models apart from its rounds."""

    setting: Setting
    features: Vector
    labels: NDArray[np.int64]
    shares: list[NDArray[np.int64]]

    @classmethod
    def of(cls, setting: Setting) -> "Sites":
        """Return the data as `train` deals it out."""
        rng = np.random.default_rng(setting.seed)
        features, labels = load_digits(return_X_y=True)
        order = rng.permutation(len(labels))
        features, labels = features[order] / 16.0, labels[order]
        return cls(setting, features, labels, split(labels[360:], setting.clients, setting.alpha, rng))

    @property
    def start(self) -> Vector:
        """The model that training starts from."""
        return flat(self._template)

    def accuracy(self, theta: Vector) -> float:
        """Return a model's accuracy on held-out digits."""
        return float(_with(self._template, theta).score(self.features[:360], self.labels[:360]))

    def delta(self, theta: Vector, client: int, epochs: int) -> Vector:
        """Return what a client, honestly, sends after some epochs from `theta`."""
        mine, setting = 360 + self.shares[client], replace(self.setting, epochs=epochs)
        rng = np.random.default_rng(0)
        return _local(self._template, theta, self.features[mine], self.labels[mine], "", setting, rng)[0]

    def sent(self, theta: Vector, client: int, number: int) -> tuple[Vector, float]:
        """Return what a client, attackers included, sends in a round that starts from `theta`, and its loss."""
        mine, attack = 360 + self.shares[client], self.setting.attackers.get(client, "")
        rng = np.random.default_rng((self.setting.seed, number, client))
        return _local(self._template, theta, self.features[mine], self.labels[mine], attack, self.setting, rng)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the layers' weights and biases, in the order of the flat model."""
        return [array.shape for array in [*self._template.coefs_, *self._template.intercepts_]]

    @property
    def _template(self) -> MLPClassifier:
        return _template(self.setting, self.features, self.labels)


def split(labels: NDArray[np.int64], clients: int, alpha: float, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return each client's indices: every class is dealt out by a Dirichlet(alpha) draw; nobody gets fewer than 8."""
    while True:
        shares: list[list[int]] = [[] for _ in range(clients)]
        for label in CLASSES:
            members = rng.permutation(np.flatnonzero(labels == label))
            cuts = (np.cumsum(rng.dirichlet(np.full(clients, alpha)))[:-1] * len(members)).astype(int)
            for share, part in zip(shares, np.split(members, cuts), strict=True):
                share.extend(part.tolist())
        if min(map(len, shares)) >= 8:
            return [np.array(share) for share in shares]


def flat(model: MLPClassifier) -> Vector:
    return np.concatenate([array.ravel() for array in [*model.coefs_, *model.intercepts_]])


def _template(setting: Setting, features: Vector, labels: NDArray[np.int64]) -> MLPClassifier:
    model = MLPClassifier(
        (setting.hidden,),
        solver=setting.solver,
        batch_size=setting.batch,
        learning_rate_init=setting.rate,
        momentum=setting.momentum,
        random_state=setting.seed,
    )
    return model.partial_fit(features[: setting.batch], labels[: setting.batch], classes=CLASSES)


def _with(template: MLPClassifier, theta: Vector) -> MLPClassifier:
    model = deepcopy(template)
    start = 0
    for arrays in (model.coefs_, model.intercepts_):
        for index, array in enumerate(arrays):
            arrays[index] = theta[start : start + array.size].reshape(array.shape).copy()
            start += array.size
    return model


def _local(
    template: MLPClassifier,
    theta: Vector,
    features: Vector,
    labels: NDArray[np.int64],
    attack: str,
    setting: Setting,
    rng: np.random.Generator,
) -> tuple[Vector, float]:
    """Return the delta a client sends, and its training loss."""
    model = _with(template, theta)
    model.set_params(batch_size=min(setting.batch, len(labels)))
    shown = rng.permutation(labels) if attack == "noisy-labels" else 9 - labels if attack == "label-flip" else labels
    for _ in range(setting.epochs):
        model.partial_fit(features, shown)
    delta = flat(model) - theta
    return _attacked(delta, attack, setting.noise, rng), float(model.loss_)


def _attacked(delta: Vector, attack: str, scale: float, rng: np.random.Generator) -> Vector:
    if attack == "sign-flip":
        return -delta
    if attack == "scaled-noise":
        noise = rng.standard_normal(delta.shape)
        return noise * (scale * float(np.linalg.norm(delta)) / float(np.linalg.norm(noise)))
    if attack == "free-rider":
        return rng.standard_normal(delta.shape) * 1e-6
    return delta
