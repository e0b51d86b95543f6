"""Inference through the gateway, against bare PyTorch."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.models import digits
from tests.models.fixtures import ask
from tests.models.networks import Perceptron
from tests.running.jobs import JobOverHttp, problem


def outputs(state: digits.State, inputs: torch.Tensor) -> Any:
    model = Perceptron()
    model.load_state_dict(dict(state))
    with torch.inference_mode():
        return model(inputs).numpy()


@pytest.mark.parametrize("model", [None, "1", "0", "1:c2"])
def test_outputs_of_any_model_are_those_of_pytorch(digits_job: JobOverHttp, model: str | None) -> None:
    trained = digits.trained()
    states = {None: trained.aggregate, "1": trained.aggregate, "0": trained.base, "1:c2": trained.clients["c2"]}
    images = trained.inputs[:5]
    tensor = {"name": "images", "datatype": "FP32", "shape": [5, 64], "data": images.flatten().tolist()}
    found = ask(digits_job, "inference", model=model, inputs=[tensor])
    assert (found["model_name"], found["model_version"]) == (digits_job.name, model or "1")
    (output,) = found["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("output_0", "FP32", [5, 10])
    assert np.array(output["data"]).reshape(5, 10) == pytest.approx(outputs(states[model], images), rel=1e-5, abs=1e-6)


def test_rows_of_a_stored_data_set_are_inferred(digits_job: JobOverHttp) -> None:
    trained = digits.trained()
    (output,) = ask(digits_job, "inference", dataset="test", first=10, rows=3)["outputs"]
    expected = outputs(trained.aggregate, trained.inputs[10:13])
    assert np.array(output["data"]).reshape(3, 10) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_an_artifact_is_inferred_like_a_stored_model(digits_job: JobOverHttp) -> None:
    trained = digits.trained()
    artifact = ask(digits_job, "aggregate", round=1, method="fedavg")["artifact"]
    found = ask(
        digits_job, "inference", model=f"artifact:{artifact['href'].rpartition('/')[2]}", dataset="test", rows=4
    )
    expected = outputs(trained.aggregate, trained.inputs[:4])
    assert np.array(found["outputs"][0]["data"]).reshape(4, 10) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "either inputs or dataset"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 63], "data": [0] * 63}]}, "['any', 64]"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 64], "data": [0] * 64}]}, "shape"),
        ({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["a"]}]}, "BYTES"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": ["a"] * 64}]}, "data"),
        (
            {"inputs": [{"name": n, "datatype": "FP32", "shape": [1, 64], "data": [0] * 64} for n in "ab"]},
            "2 were passed",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_told(digits_job: JobOverHttp, params: dict[str, object], said: str) -> None:
    assert said in problem(digits_job.run("inference", **params), 422, "invalid-parameters")["detail"]
