"""Evaluation against bare PyTorch and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_fscore_support

from tests.models import digits
from tests.models.fixtures import ask, put_dataset
from tests.models.networks import Perceptron
from tests.services.models import JobOverHttp, problem


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
