"""Losses and accuracies against scikit-learn's and SciPy's, batch by batch and all at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, mean_squared_error

from flstore_core.errors import InvalidParameters, NotEnoughData
from flstore_core.model_names import ModelName
from flstore_core.workloads import InputSpec
from flstore_core.workloads.shared.scoring import (
    MAX_CLASSES,
    Examples,
    Loss,
    ScoreTotals,
    check_loss,
    examples,
    from_arrays,
    score,
    score_all,
    to_arrays,
)
from tests.fakes.models import FakeAccess, FakeModel, linear

Array = NDArray[Any]

FEATURES = 4


def model_of(outputs: int, seed: int = 0) -> FakeModel:
    vector = np.random.default_rng(seed).standard_normal(outputs * FEATURES)
    return FakeModel(linear(FEATURES, outputs), vector.astype(np.float32))


def inputs_of(count: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal((count, FEATURES)).astype(np.float32)


def classes_of(count: int, classes: int, seed: int = 2) -> Array:
    return np.random.default_rng(seed).integers(0, classes, count)


def totals_of(outputs: int, targets: Array, loss: Loss, batch: int = 8) -> tuple[ScoreTotals, Array]:
    """Return the totals of a linear model on random inputs, and its outputs."""
    model, inputs = model_of(outputs), inputs_of(len(targets))
    return score(model, Examples((inputs,), targets, loss, batch)), model(inputs)[0]


@given(st.integers(1, 40), st.integers(2, 5), st.integers(1, 50))
@settings(max_examples=30)
def test_cross_entropy_accuracy_and_confusion_are_scikit_learns(count: int, classes: int, batch: int) -> None:
    targets = classes_of(count, classes)
    totals, logits = totals_of(classes, targets, "cross-entropy", batch)
    assert totals.targets == count
    assert totals.mean_loss == pytest.approx(
        log_loss(targets, softmax(logits, axis=1), labels=range(classes)), rel=1e-5
    )
    assert totals.accuracy == accuracy_score(targets, logits.argmax(axis=1))
    expected = confusion_matrix(targets, logits.argmax(axis=1), labels=range(classes))
    np.testing.assert_array_equal(totals.confusion, expected)


def test_cross_entropy_of_sequences_counts_every_position() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 5, 7)).astype(np.float32)
    targets = np.random.default_rng(1).integers(0, 7, (3, 5))

    def network(vector: Array, inputs: Any) -> Any:
        return [logits[: len(inputs[0])]], {}

    totals = score(FakeModel(network, np.zeros(0)), Examples((np.zeros((3, 1)),), targets, "cross-entropy", 3))
    expected = -np.take_along_axis(log_softmax(logits, axis=2), targets[:, :, None], axis=2).mean()
    assert totals.targets == 15
    assert totals.mean_loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [1.0, 1e3, 1e30])
def test_cross_entropy_of_large_logits_does_not_overflow(size: float) -> None:
    def network(vector: Array, inputs: Any) -> Any:
        return [np.array([[size, 0.0], [0.0, size]], np.float32)], {}

    data = Examples((np.zeros((2, 1)),), np.array([0, 0]), "cross-entropy", 2)
    totals = score(FakeModel(network, np.zeros(0)), data)
    assert totals.mean_loss == pytest.approx((np.log1p(np.exp(-size)) * 2 + size) / 2, rel=1e-6)
    assert totals.accuracy == 0.5


@given(st.integers(1, 40), st.integers(1, 50))
@settings(max_examples=30)
def test_binary_cross_entropy_is_scikit_learns(count: int, batch: int) -> None:
    targets = np.random.default_rng(3).integers(0, 2, (count, 1)).astype(np.float32)
    totals, logits = totals_of(1, targets, "binary-cross-entropy", batch)
    expected = log_loss(targets[:, 0], expit(logits[:, 0].astype(np.float64)), labels=[0, 1])
    assert totals.mean_loss == pytest.approx(expected, rel=1e-5)
    assert totals.accuracy == accuracy_score(targets > 0.5, logits > 0)


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 50))
@settings(max_examples=30)
def test_squared_error_is_scikit_learns_and_has_no_accuracy(count: int, outputs: int, batch: int) -> None:
    targets = np.random.default_rng(4).standard_normal((count, outputs))
    totals, predictions = totals_of(outputs, targets, "mse", batch)
    assert totals.mean_loss == pytest.approx(mean_squared_error(targets, predictions), rel=1e-5)
    assert totals.targets == count * outputs
    assert totals.accuracy is None


@pytest.mark.parametrize("loss", ["mse", "binary-cross-entropy"])
def test_an_output_may_have_a_further_axis_of_size_one(loss: Loss) -> None:
    targets = np.array([0.0, 1.0, 1.0])
    flat, _ = totals_of(1, targets, loss)
    column, _ = totals_of(1, targets[:, None], loss)
    assert flat.loss == column.loss


@pytest.mark.parametrize(
    ("targets", "loss", "message"),
    [
        (np.array([0, 3]), "cross-entropy", "targets reach from 0 to 3; the model has 3 classes"),
        (np.array([-1, 2]), "cross-entropy", "targets reach from -1 to 2"),
        (
            np.array([0.5, 1.0]),
            "cross-entropy",
            r"whole-number targets .*; the model gave \[2, 3\] for targets float64",
        ),
        (np.zeros((2, 3), int), "cross-entropy", r"the model gave \[2, 3\] for targets int64 \[2, 3\]"),
        (np.zeros((2, 2)), "mse", r"the model gave \[2, 3\] for targets \[2, 2\]"),
        (np.zeros(2), "binary-cross-entropy", r"the model gave \[2, 3\] for targets \[2\]"),
    ],
)
def test_targets_that_do_not_fit_the_output_are_refused_with_both(targets: Array, loss: Loss, message: str) -> None:
    with pytest.raises(InvalidParameters, match=message):
        totals_of(3, targets, loss)


def test_beyond_the_most_classes_only_correct_and_wrong_predictions_are_counted() -> None:
    logits = np.zeros((3, MAX_CLASSES + 1), np.float32)
    logits[[0, 1, 2], [5, 6, 7]] = 1

    def network(vector: Array, inputs: Any) -> Any:
        return [logits], {}

    data = Examples((np.zeros((3, 1)),), np.array([5, 6, 0]), "cross-entropy", 3)
    totals = score(FakeModel(network, np.zeros(0)), data)
    assert totals.confusion.tolist() == [[2, 1]]
    assert totals.accuracy == pytest.approx(2 / 3)


def access(**datasets: dict[str, Array]) -> FakeAccess:
    vectors = {ModelName(0): np.ones(FEATURES * 2, np.float32), ModelName(1): np.zeros(FEATURES * 2, np.float32)}
    inputs = [InputSpec(name, np.dtype(np.float32), (None, FEATURES)) for name in ("x", "mask")]
    return FakeAccess(linear(FEATURES, 2), vectors, inputs, datasets=datasets, models=list(vectors))


def test_examples_are_the_first_rows_with_further_inputs_by_name() -> None:
    arrays = {"targets": np.arange(5), "mask": np.full(5, 2), "inputs": np.full(5, 1), "unused": np.zeros(5)}
    data = examples(access(test=arrays), "test", None, 64, rows=3)
    assert [array.tolist() for array in data.inputs] == [[1, 1, 1], [2, 2, 2]]
    assert (data.targets.tolist(), data.rows, data.batch) == ([0, 1, 2], 3, 64)


@pytest.mark.parametrize(
    ("targets", "given_loss", "used"),
    [
        (np.array([1, 2]), None, "cross-entropy"),
        (np.array([1, 2], np.uint8), None, "cross-entropy"),
        (np.array([0.5, 2.0]), None, "mse"),
        (np.array([0.0, 1.0]), "binary-cross-entropy", "binary-cross-entropy"),
    ],
)
def test_the_loss_is_the_one_named_or_follows_from_the_targets(
    targets: Array, given_loss: Loss | None, used: str
) -> None:
    assert examples(access(test={"inputs": np.zeros(2), "targets": targets}), "test", given_loss, 2).loss == used


def test_a_data_set_without_targets_cannot_score() -> None:
    with pytest.raises(NotEnoughData, match="data set 'bare' has no tensor 'targets'"):
        examples(access(bare={"inputs": np.zeros(2)}), "bare", None, 2)


def test_every_model_is_scored_with_progress_before_each() -> None:
    models = access(test={"inputs": inputs_of(6), "targets": classes_of(6, 2)})
    data = examples(models, "test", None, 4)
    found = score_all(models, data)
    assert models.steps == [(0, 2), (1, 2)]
    assert [each.loss for each in found] == [score(models.model(name), data).loss for name in models.models]
    assert found[1].mean_loss == pytest.approx(np.log(2))


def test_totals_of_parts_add_up_and_travel_as_arrays() -> None:
    one = ScoreTotals(1.5, 3, np.array([[1, 0], [1, 1]]))
    two = ScoreTotals(0.5, 1, np.array([[0, 0], [0, 1]]))
    both = one + two
    assert (both.loss, both.targets, both.confusion.tolist()) == (2.0, 4, [[1, 0], [1, 2]])
    assert (both.mean_loss, both.accuracy) == (0.5, 0.75)
    for before, after in zip([one, two], from_arrays(to_arrays([one, two])), strict=True):
        assert (after.loss, after.targets) == (before.loss, before.targets)
        np.testing.assert_array_equal(after.confusion, before.confusion)


def test_a_loss_without_targets_or_of_a_model_that_diverged_is_refused() -> None:
    none = np.zeros((0, 0), np.int64)
    check_loss("12:a", ScoreTotals(1.0, 1, none))
    with pytest.raises(InvalidParameters, match="tensor 'targets' has no elements"):
        check_loss("12:a", ScoreTotals(0.0, 0, none))
    for loss in (float("nan"), float("inf")):
        with pytest.raises(InvalidParameters, match="the loss of 12:a is not finite"):
            check_loss("12:a", ScoreTotals(loss, 1, none))
