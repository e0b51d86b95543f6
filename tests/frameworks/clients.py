"""Clients of no framework: what they train, and what attackers send instead."""

import itertools
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.resnet import update
from tests.frameworks.plan import DIGITS

if TYPE_CHECKING:
    from tests.workloads.federated import Sites

Arrays = dict[str, NDArray[np.float32]]
Config = Mapping[str, Any]
"""As `Plan.config`."""
LEARNING: Mapping[str, Any] = {"solver": "sgd", "momentum": 0.9, "epochs": 5, "batch": 16, "rate": 0.01}
"""How clients train between rounds."""
STEP = 0.01
"""Of a model that learns nothing, in each parameter."""
SHIFTS = 65_536
"""Different steps."""
LAYERS = ("layers.0.weight", "layers.1.weight", "layers.0.bias", "layers.1.bias")


def initial(config: Config) -> Arrays:
    """Return the model that training starts from."""
    return _named(_sites(config)) if config["model"] == DIGITS else dict(update(0))


def train(model: Arrays, config: Config, client: int, number: int) -> tuple[Arrays, dict[str, float]]:
    """Return what a client sends in a round, with its metrics."""
    time.sleep(config["training_s"] * (0.5 + client / max(1, config["clients"] - 1)))
    if config["model"] != DIGITS:
        rng = np.random.default_rng(1000 * number + client)
        sent = {name: array + _step(array.shape, rng) for name, array in model.items()}
        return sent, {"num-examples": 100 + client, "train_loss": 0.5}
    sites, theta = _sites(config), _learned(model)
    delta, loss = sites.sent(theta, client, number)
    return _named(sites, theta + delta), {"num-examples": len(sites.shares[client]), "train_loss": loss}


def accuracy(model: Arrays, config: Config) -> float:
    """Return a model's accuracy on digits that no client has; not a number for a model that learns nothing."""
    return _sites(config).accuracy(_learned(model)) if config["model"] == DIGITS else float("nan")


def flat(model: Arrays) -> NDArray[np.float32]:
    """Return a model as one array, as NVFlare's NumPy recipes take it."""
    return np.concatenate([array.ravel() for array in model.values()])


def layered(theta: NDArray[np.float32], config: Config) -> Arrays:
    """Return a model of one array as `train` takes it."""
    return _named(_sites(config), theta) if config["model"] == DIGITS else {"all": theta}


def _learned(model: Arrays) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(model[name], np.float64).ravel() for name in LAYERS])


def _sites(config: Config) -> "Sites":
    return _dealt(*(config[name] for name in ("attack", "attackers", "noise", "clients", "alpha", "seed")))


@cache
def _dealt(attack: str, attackers: int, noise: float, clients: int, alpha: float, seed: int) -> "Sites":
    from tests.workloads.federated import Setting, Sites  # scikit-learn: dozens of clients of large models need none

    bad = dict.fromkeys(range(attackers), attack)
    return Sites.of(Setting(bad, clients=clients, alpha=alpha, noise=noise, seed=seed, **LEARNING))


def _step(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a random step: a piece of one long one, since drawing each anew takes longer than sending it."""
    size, first = int(np.prod(shape)), int(rng.integers(SHIFTS))
    return _steps(size)[first : first + size].reshape(shape)


@cache
def _steps(size: int) -> NDArray[np.float32]:
    return np.float32(STEP) * np.random.default_rng(size).standard_normal(size + SHIFTS, np.float32)


def _named(sites: "Sites", theta: NDArray[np.floating[Any]] | None = None) -> Arrays:
    """Return a model by layers; the one that training starts from by default."""
    theta = sites.start if theta is None else theta
    ends = itertools.accumulate(int(np.prod(shape)) for shape in sites.shapes)
    parts = np.split(theta, list(ends)[:-1])
    return {
        name: part.reshape(shape).astype(np.float32)
        for name, part, shape in zip(LAYERS, parts, sites.shapes, strict=True)
    }
