"""Models of NVFlare as arrays by name, and what their clients say with them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

Arrays: TypeAlias = dict[str, Any]
"""NumPy arrays, or tensors of PyTorch, by name."""


@dataclass(frozen=True, eq=False)
class Update:
    """What a client sent."""

    client: str
    arrays: Arrays
    is_delta: bool
    """Whether the arrays are differences from the model that the round started from."""
    metrics: Mapping[str, Any]
    steps: float
    """The client's steps in this round, 1 if it does not say."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return shapes_of(self.arrays)


def update_of(model: FLModel, client: str) -> Update:
    """Return what a client sent, in memory.

    Raises:
        TypeError: if a parameter holds no numbers, or cannot be read.
    """
    if is_encrypted(model):
        raise TypeError("its parameters are encrypted")
    is_delta = model.params_type == ParamsType.DIFF
    return Update(client, arrays_of(model.params), is_delta, model.metrics or {}, steps_of(model))


def is_encrypted(model: FLModel) -> bool:
    """Return whether a model's parameters are encrypted homomorphically."""
    return bool((model.meta or {}).get(FLMetaKey.PROCESSED_ALGORITHM))


def arrays_of(params: Any) -> Arrays:
    """Return parameters as arrays; those that NVFlare has left on disk are read.

    Raises:
        TypeError: if one holds no numbers.
    """
    if not isinstance(params, Mapping):
        raise TypeError(f"its parameters are a {type(params).__name__}, and no arrays by name")
    return {str(name): _array(name, value) for name, value in params.items()}


def _array(name: object, value: Any) -> Any:
    if callable(materialize := getattr(value, "materialize", None)):
        value = materialize()
    if hasattr(value, "detach"):  # a tensor of PyTorch, which the client sends as it is
        return value
    array = np.asarray(value)
    if array.dtype.kind in "OSUMm":
        raise TypeError(f"its parameter {name!r} holds no numbers, but {type(value).__name__}")
    return array


def shapes_of(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array."""
    return {name: tuple(array.shape) for name, array in arrays.items()}


def recordable(arrays: Arrays) -> Arrays:
    """Return arrays as a recorder casts them to the job's dtypes: tensors of PyTorch as NumPy's, where it can say them.

    NVFlare's average of integer counters, such as BatchNorm's, is a tensor of floats.
    """
    return {name: _plain(array) for name, array in arrays.items()}


def _plain(array: Any) -> Any:
    if not hasattr(array, "detach") or str(array.dtype) == "torch.bfloat16":
        return array
    return array.detach().cpu().numpy()


def nothing_like(array: Any) -> Any:
    """Return an array of zeros in the shape and dtype of another."""
    return array.new_zeros(array.shape) if hasattr(array, "new_zeros") else np.zeros_like(array)


def numbers_in(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that an average can be taken of."""
    return {
        name: float(value) for name, value in metrics.items() if isinstance(value, int | float | np.number | np.bool_)
    }


def model_in(shareable: Any) -> FLModel | None:
    """Return the model that a message carries; None if it has none."""
    if isinstance(shareable, FLModel):
        return shareable
    if not isinstance(shareable, Shareable):
        return None
    try:
        return FLModelUtils.from_shareable(shareable)
    except ValueError:  # other tasks send other things
        return None


def client_of(model: FLModel, fl_ctx: FLContext | None) -> str:
    """Return the name of the client that sent a model: its site's."""
    said = (model.meta or {}).get("client_name")
    peer = fl_ctx.get_peer_context() if fl_ctx else None
    return str(said or (peer.get_identity_name() if peer else "") or AppConstants.CLIENT_UNKNOWN)


def steps_of(model: FLModel) -> float:
    """Return the weight that NVFlare gives a client: its steps, or 1 if they are no number above 0."""
    said = (model.meta or {}).get(FLMetaKey.NUM_STEPS_CURRENT_ROUND)
    try:
        steps = 1.0 if said is None or isinstance(said, bool) else float(said)
    except (TypeError, ValueError, OverflowError):
        return 1.0
    return steps if math.isfinite(steps) and steps > 0.0 else 1.0
