"""Small models whose values say whose they are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

SIZE = 64


def model(value: float) -> Arrays:
    """Return a model of one value."""
    return {"w": np.full((4, 8), value, np.float32), "b": np.full(SIZE - 32, value, np.float32), "steps": np.array(7)}


def towards(direction: int, client: int, length: float = 1.0) -> Arrays:
    """Return a model that training has moved one way from 0, with noise of the client's own."""
    rng = np.random.default_rng([direction, client])
    common = np.random.default_rng(direction).standard_normal(SIZE)
    flat = (length * (common + 0.5 * rng.standard_normal(SIZE))).astype(np.float32)
    return {"w": flat[:32].reshape(4, 8), "b": flat[32:], "steps": np.array(7)}
