"""Scores of a model on a data set: loss, accuracy and confusion between classes, summed over batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters, NotEnoughData
from flstore_core.workloads import ModelAccess, Partial, RunnableModel
from flstore_core.workloads.model_access import outputs_of

Loss = Literal["cross-entropy", "binary-cross-entropy", "mse"]
MAX_CLASSES = 4096
"""Most classes between which confusion is counted: the counts of 4,096 take 128 MiB."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Examples:
    """Inputs and targets of a data set, and the loss between a model's first output and the targets."""

    inputs: tuple[Array, ...]
    targets: Array
    loss: Loss
    batch: int
    """Examples that are run at once."""

    @property
    def rows(self) -> int:
        """Number of examples."""
        return len(self.targets)


@dataclass(frozen=True)
class ScoreTotals:
    """A model's loss and confusion, summed over examples; the totals of batches add up to those of the data set."""

    loss: float
    """Sum of the targets' losses."""
    targets: int
    """How many targets the loss was summed over."""
    confusion: NDArray[np.int64]
    """Counts by true and predicted class, shape (classes, classes). Shape (0, 0) where targets are not classes; beyond
    `MAX_CLASSES`, shape (1, 2): the correct predictions and the wrong ones."""

    def __add__(self, other: "ScoreTotals") -> "ScoreTotals":
        return ScoreTotals(self.loss + other.loss, self.targets + other.targets, self.confusion + other.confusion)

    @property
    def mean_loss(self) -> float:
        """The mean loss of a target."""
        return self.loss / self.targets

    @property
    def accuracy(self) -> float | None:
        """The share of targets predicted correctly; None where targets are not classes."""
        return float(np.trace(self.confusion) / self.targets) if self.confusion.size else None


def to_arrays(scores: Sequence[ScoreTotals]) -> dict[str, NDArray[Any]]:
    """Return several models' totals as arrays that can be sent: `loss`, `values` and `confusion`, one row a model."""
    return {
        "loss": np.array([score.loss for score in scores]),
        "values": np.array([score.targets for score in scores]),
        "confusion": np.stack([score.confusion for score in scores]),
    }


def from_arrays(partial: Partial) -> list[ScoreTotals]:
    """Return the totals that `to_arrays` was given."""
    rows = zip(partial["loss"], partial["values"], partial["confusion"], strict=True)
    return [ScoreTotals(float(loss), int(targets), confusion) for loss, targets, confusion in rows]


def examples(access: ModelAccess, dataset: str, loss: Loss | None, batch: int, rows: int | None = None) -> Examples:
    """Return a data set's first `rows` examples, or all.

    Args:
        access: the models and data sets of a run.
        dataset: name of the data set; of its tensors, `inputs` comes first, and others by name as further inputs.
        loss: by default cross-entropy for whole-number targets, and mse (mean squared error) for others.
        batch: examples that are run at once.
        rows: how many examples are used.

    Raises:
        NotEnoughData: if the data set has no targets.
    """
    arrays = access.dataset(dataset)
    if "targets" not in arrays:
        raise NotEnoughData(f"data set {dataset!r} has no tensor 'targets' to compare with")
    targets = arrays["targets"][:rows]
    # As many further inputs as the program takes: a data set may have more tensors than that.
    more = sorted(name for name in arrays if name not in ("inputs", "targets"))
    inputs = tuple(arrays[name][:rows] for name in ("inputs", *more[: len(access.inputs) - 1]))
    usual: Loss = "cross-entropy" if targets.dtype.kind in "iu" else "mse"
    return Examples(inputs, targets, loss or usual, batch)


def score(model: RunnableModel, data: Examples) -> ScoreTotals:
    """Return a model's totals over all examples, run batch by batch."""
    places = [slice(start, start + data.batch) for start in range(0, data.rows, data.batch)]
    results = outputs_of(model, ([array[place] for array in data.inputs] for place in places))
    parts = [_LOSSES[data.loss](output[0], data.targets[place]) for place, output in zip(places, results, strict=True)]
    return sum(parts[1:], parts[0])


def score_all(access: ModelAccess, data: Examples) -> list[ScoreTotals]:
    """Return the totals of each of `access.models`, reporting progress between models."""
    totals = []
    for done, name in enumerate(access.models):
        access.progress(done, len(access.models))
        totals.append(score(access.model(name), data))
    return totals


def check_loss(model: str, totals: ScoreTotals) -> None:
    """Check that a model's mean loss is a number.

    Raises:
        InvalidParameters: if there are no targets, or a loss is not finite.
    """
    if not totals.targets:
        raise InvalidParameters("the data set's tensor 'targets' has no elements; name a data set that has targets")
    if not math.isfinite(totals.loss):
        raise InvalidParameters(f"the loss of {model} is not finite, as of a model that diverged; leave that model out")


def _cross_entropy(output: Array, targets: Array) -> ScoreTotals:
    """Sum -log softmax(output)[target] over targets.

    Args:
        output: logits, shape (…, classes).
        targets: class numbers, shape (…).
    """
    classes = output.shape[-1]
    if output.shape[:-1] != targets.shape or targets.dtype.kind not in "iu":
        raise InvalidParameters(
            f"cross-entropy takes outputs (…, classes) and whole-number targets (…); the model gave "
            f"{list(output.shape)} for targets {targets.dtype} {list(targets.shape)}"
        )
    logits, labels = output.reshape(-1, classes), targets.reshape(-1).astype(np.int64)
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        raise InvalidParameters(f"targets reach from {labels.min()} to {labels.max()}; the model has {classes} classes")
    shifted = logits - logits.max(1, keepdims=True)  # so that no exponential overflows
    log_sum = np.log(np.exp(shifted).sum(1, dtype=np.float64))
    loss = float((log_sum - shifted[np.arange(len(labels)), labels]).sum(dtype=np.float64))
    return ScoreTotals(loss, len(labels), _confusion(labels, logits.argmax(1), classes))


def _binary_cross_entropy(output: Array, targets: Array) -> ScoreTotals:
    """Sum the cross-entropy of logits and targets between 0 and 1; logits may have a further axis of size 1.

    With logit x and target t it is log(1 + e^x) - t x, written so that no exponential overflows.
    """
    logits = _in_shape_of(targets, output).astype(np.float64).ravel()
    shares = targets.astype(np.float64).ravel()
    loss = np.maximum(logits, 0) - logits * shares + np.log1p(np.exp(-np.abs(logits)))
    confusion = _confusion((shares > 0.5).astype(np.int64), (logits > 0).astype(np.int64), 2)
    return ScoreTotals(float(loss.sum()), len(shares), confusion)


def _squared_error(output: Array, targets: Array) -> ScoreTotals:
    """Sum the squared differences of outputs and targets."""
    gap = _in_shape_of(targets, output).astype(np.float64) - targets
    return ScoreTotals(float((gap * gap).sum()), gap.size, np.zeros((0, 0), np.int64))


_LOSSES = {"cross-entropy": _cross_entropy, "binary-cross-entropy": _binary_cross_entropy, "mse": _squared_error}


def _in_shape_of(targets: Array, output: Array) -> Array:
    """Return the output in the targets' shape; raise `InvalidParameters` if it has another one."""
    if output.shape != targets.shape and output.shape != (*targets.shape, 1):
        raise InvalidParameters(f"the model gave {list(output.shape)} for targets {list(targets.shape)}")
    return output.reshape(targets.shape)


def _confusion(true: Array, predicted: Array, classes: int) -> NDArray[np.int64]:
    """Return counts by true and predicted class, as `ScoreTotals.confusion` describes them."""
    if classes > MAX_CLASSES:
        correct = np.count_nonzero(true == predicted)
        return np.array([[correct, len(true) - correct]], np.int64)
    # Numbering the cells of the table row by row makes one count of all pairs.
    counts = np.bincount(true * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)
