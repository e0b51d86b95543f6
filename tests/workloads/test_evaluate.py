"""Evaluation against bare PyTorch, scikit-learn and SciPy."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.metrics import precision_recall_fscore_support

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads.evaluate import Evaluate, EvaluateParams
from flstore_core.workloads.shared.scoring import MAX_CLASSES
from tests.fakes.models import linear
from tests.models import digits
from tests.models.fixtures import ask, put_dataset
from tests.models.networks import Perceptron
from tests.running.jobs import JobOverHttp, problem
from tests.workloads.rounds import Index
from tests.workloads.running import running_job
from tests.workloads.stored import Stored


def test_loss_and_accuracy_are_those_of_a_bare_loop(digits_job: JobOverHttp) -> None:
    trained = digits.trained()
    found = ask(digits_job, "evaluate", round=1, batch_size=50)
    assert [each["model"] for each in found["models"]] == [*(f"1:c{i}" for i in range(digits.CLIENTS)), "1"]
    for each, state in zip(found["models"], [*trained.clients.values(), trained.aggregate], strict=True):
        loss, accuracy = digits.loss_and_accuracy(state, trained.inputs, trained.targets)
        assert each["loss"] == pytest.approx(loss, rel=1e-5)
        assert each["accuracy"] == pytest.approx(accuracy)
    assert found["examples"] == len(trained.targets)
    assert found["loss"] == "cross-entropy"
    assert found["best"] == min(found["models"], key=lambda each: each["loss"])["model"]


def test_figures_by_class_are_those_of_scikit_learn(digits_job: JobOverHttp) -> None:
    trained = digits.trained()
    (found,) = ask(digits_job, "evaluate", models=["1:c0"])["models"]
    model = Perceptron()
    model.load_state_dict(dict(trained.clients["c0"]))
    given = model(trained.inputs).argmax(1).numpy()
    precision, recall, _, support = precision_recall_fscore_support(
        trained.targets.numpy(), given, labels=range(10), zero_division=0
    )
    assert [each["examples"] for each in found["classes"]] == support.tolist()
    assert [each["recall"] for each in found["classes"]] == pytest.approx(recall.tolist())
    assert [each["precision"] or 0.0 for each in found["classes"]] == pytest.approx(precision.tolist())


def test_regression_has_a_loss_and_no_accuracy(digits_job: JobOverHttp) -> None:
    trained = digits.trained()
    wanted = np.random.default_rng(0).standard_normal((len(trained.inputs), 10)).astype(np.float32)
    put_dataset(digits_job, "regression", {"inputs": trained.inputs.numpy(), "targets": wanted})
    (found,) = ask(digits_job, "evaluate", models=["1"], dataset="regression")["models"]
    model = Perceptron()
    model.load_state_dict(dict(trained.aggregate))
    expected = torch.nn.functional.mse_loss(model(trained.inputs), torch.from_numpy(wanted))
    assert found["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert found["accuracy"] is None
    assert found["classes"] == []


def test_the_same_question_has_the_same_etag_until_the_data_set_changes(digits_job: JobOverHttp) -> None:
    trained = digits.trained()
    put_dataset(digits_job, "changing", {"inputs": trained.inputs.numpy(), "targets": trained.targets.numpy()})
    first = digits_job.run("evaluate", models=["1"], dataset="changing")
    again = digits_job.run("evaluate", models=["1"], dataset="changing")
    assert first.headers["etag"] == again.headers["etag"]
    put_dataset(digits_job, "changing", {"inputs": trained.inputs.numpy(), "targets": 9 - trained.targets.numpy()})
    changed = digits_job.run("evaluate", models=["1"], dataset="changing")
    assert changed.headers["etag"] != first.headers["etag"]
    assert changed.json()["result"]["models"][0]["accuracy"] < 0.3


@pytest.mark.parametrize(
    ("params", "status", "code", "said"),
    [
        ({"dataset": "tset"}, 404, "not-found", "test"),
        ({"models": ["7"]}, 404, "not-found", "round 7"),
        ({"models": ["one"]}, 422, "invalid-parameters", "12:client-7"),
        ({"models": ["artifact:none"]}, 404, "not-found", "none"),
        ({"round": 1, "clients": ["nobody"]}, 404, "not-found", "nobody"),
        ({"loss": "mse"}, 422, "invalid-parameters", "targets"),
        ({"batch_size": 0}, 422, "invalid-parameters", "batch_size"),
    ],
)
def test_what_cannot_be_evaluated_is_told(
    digits_job: JobOverHttp, params: dict[str, object], status: int, code: str, said: str
) -> None:
    assert said in problem(digits_job.run("evaluate", **params), status, code)["detail"]


ASKED = Evaluate()
RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((50, 2)).astype(np.float32)
TARGETS = RNG.integers(0, 3, 50)
MODELS = {name: RNG.standard_normal(6).astype(np.float32) for name in ("a", "b")}
AGGREGATE = np.mean(list(MODELS.values()), axis=0)


def job(**changes: Any) -> Stored:
    datasets = {
        "test": {"inputs": INPUTS, "targets": TARGETS},
        "bare": {"inputs": INPUTS},
        "none": {"inputs": INPUTS, "targets": np.zeros((50, 0), np.float32)},
        "flags": {"inputs": INPUTS, "targets": (TARGETS[:, None] == np.arange(3)).astype(np.float32)},
    }
    return running_job(linear(2, 3), MODELS, **{"aggregate": AGGREGATE, "datasets": datasets, **changes})


def logits(vector: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return INPUTS.astype(np.float64) @ np.asarray(vector, np.float64).reshape(3, 2).T


@pytest.mark.parametrize("batch_size", [1, 7, 50, 256])
def test_the_loss_is_the_mean_cross_entropy_for_any_batch_size(batch_size: int) -> None:
    answer = job().ask(ASKED, batch_size=batch_size)
    assert [score.model for score in answer.models] == ["1:a", "1:b", "1"]
    for score, vector in zip(answer.models, [*MODELS.values(), AGGREGATE], strict=True):
        expected = -log_softmax(logits(vector), axis=1)[np.arange(50), TARGETS]
        assert score.loss == pytest.approx(expected.mean(), rel=1e-5)
        assert score.accuracy == np.mean(logits(vector).argmax(axis=1) == TARGETS)
    assert (answer.dataset, answer.loss, answer.examples) == ("test", "cross-entropy", 50)
    assert answer.best == min(answer.models, key=lambda score: score.loss).model


def test_figures_of_one_class_are_those_of_scikit_learn() -> None:
    (score,) = job().ask(ASKED, models=["1:b"]).models
    precision, recall, _, support = precision_recall_fscore_support(
        TARGETS, logits(MODELS["b"]).argmax(axis=1), labels=range(3), zero_division=0
    )
    assert [each.label for each in score.classes] == [0, 1, 2]
    assert [each.examples for each in score.classes] == support.tolist()
    assert [each.recall for each in score.classes] == pytest.approx(recall.tolist())
    assert [each.precision or 0.0 for each in score.classes] == pytest.approx(precision.tolist())


def test_beyond_the_most_classes_there_is_an_accuracy_and_no_figures_by_class() -> None:
    classes = MAX_CLASSES + 1
    network = linear(2, classes)
    vectors = {"a": np.random.default_rng(1).standard_normal(2 * classes).astype(np.float32)}
    predicted = network(vectors["a"], [INPUTS])[0][0].argmax(axis=1)
    targets = np.where(np.arange(50) < 20, predicted, (predicted + 1) % classes)
    datasets = {"test": {"inputs": INPUTS, "targets": targets}}
    asked = running_job(network, vectors, aggregate=vectors["a"], datasets=datasets)
    (score,) = asked.ask(ASKED, models=["1:a"]).models
    assert (score.accuracy, score.classes) == (0.4, [])


def test_a_class_without_examples_or_predictions_has_no_figures() -> None:
    datasets = {"test": {"inputs": np.ones((4, 2), np.float32), "targets": np.array([0, 0, 0, 1])}}
    (score,) = job(datasets=datasets, aggregate=[1, 1, 0, 0, 0, 0]).ask(ASKED, models=["1"]).models
    assert [(each.recall, each.precision) for each in score.classes] == [(1.0, 0.75), (0.0, None), (None, None)]


def test_binary_cross_entropy_and_mse_are_those_of_pytorch() -> None:
    targets = torch.from_numpy((TARGETS[:, None] == np.arange(3)).astype(np.float64))
    found = {
        loss: job().ask(ASKED, models=["1"], dataset="flags", loss=loss) for loss in ("binary-cross-entropy", "mse")
    }
    output = torch.from_numpy(logits(AGGREGATE))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(output, targets).item()
    assert found["binary-cross-entropy"].models[0].loss == pytest.approx(expected, rel=1e-5)
    assert found["mse"].models[0].loss == pytest.approx(torch.nn.functional.mse_loss(output, targets).item(), rel=1e-5)
    assert found["binary-cross-entropy"].models[0].accuracy == torch.mean(
        (output > 0) == (targets > 0.5), dtype=torch.float64
    )
    assert (found["mse"].examples, found["mse"].models[0].accuracy, found["mse"].models[0].classes) == (150, None, [])


def test_only_the_first_rows_and_the_named_clients_count() -> None:
    answer = job().ask(ASKED, rows=10, clients=["b"], aggregate=False)
    (score,) = answer.models
    assert (score.model, answer.examples) == ("1:b", 10)
    assert score.accuracy == np.mean(logits(MODELS["b"])[:10].argmax(axis=1) == TARGETS[:10])


def test_models_named_in_the_request_choose_the_rounds_to_read() -> None:
    index = Index(committed=[1, 2, 4], open=[5])
    assert ASKED.select(EvaluateParams(models=["4", "1:a", "artifact:x", "5:b"]), index) == [1, 4, 5]
    assert ASKED.select(EvaluateParams(), index) == (4,)
    with pytest.raises(NotFound, match="round 3 has no updates"):
        ASKED.select(EvaluateParams(models=["3"]), index)
    with pytest.raises(InvalidParameters, match="write 12"):
        ASKED.select(EvaluateParams(models=["newest"]), index)


def test_progress_is_reported_between_models() -> None:
    stored = job()
    stored.ask(ASKED)
    assert stored.access is not None
    assert stored.access.steps == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    ("changes", "params", "error", "said"),
    [
        ({}, {"dataset": "bare"}, NotEnoughData, "'bare' has no tensor 'targets'"),
        ({}, {"dataset": "none", "loss": "mse"}, InvalidParameters, "targets"),
        ({}, {"dataset": "flags", "loss": "cross-entropy"}, InvalidParameters, "whole-number targets"),
        ({}, {"loss": "mse"}, InvalidParameters, r"\[50, 3\] for targets \[50\]"),
        ({}, {"clients": ["z"]}, NotFound, "client in round 1 'z'"),
        ({"aggregate": None}, {"clients": None, "aggregate": False, "round": 0}, NotFound, "round 0 has no updates"),
        ({"aggregate": np.full(6, 1e38)}, {"models": ["1"], "dataset": "flags", "loss": "mse"}, InvalidParameters,
         "the loss of 1 is not finite"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_what_cannot_be_evaluated_is_refused(
    changes: dict[str, Any], params: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        job(**changes).ask(ASKED, **params)


def test_a_round_without_any_model_to_evaluate_is_refused() -> None:
    stored = running_job(
        linear(2, 3), {}, aggregate=AGGREGATE, datasets={"test": {"inputs": INPUTS, "targets": TARGETS}}
    )
    assert [score.model for score in stored.ask(ASKED).models] == ["1"]
    with pytest.raises(NotEnoughData, match="round 1 has no model to evaluate; name another round, or models"):
        stored.ask(ASKED, aggregate=False)
