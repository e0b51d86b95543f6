"""Inference through the gateway, against bare PyTorch."""

from typing import Any

import numpy as np
import pytest
import torch

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads import InputSpec
from flstore_core.workloads.inference import DATATYPES, Inference, InferenceParams, Tensor
from tests.fakes.models import linear
from tests.models import digits
from tests.models.fixtures import ask
from tests.models.networks import Perceptron
from tests.running.jobs import JobOverHttp, problem
from tests.workloads.rounds import Index
from tests.workloads.running import FLOATS, running_job
from tests.workloads.stored import Stored


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


ASKED = Inference()
ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


def job(**changes: Any) -> Stored:
    """Return a job of linear models of two outputs: `c` doubles its inputs, the aggregate swaps them."""
    given: dict[str, Any] = {"aggregate": [0, 1, 1, 0], "datasets": {"test": {"inputs": ROWS, "targets": ROWS}}}
    return running_job(linear(2, 2), {"c": [2, 0, 0, 2]}, **{**given, **changes})


def tensor(data: Any, shape: list[int], datatype: str = "FP32", name: str = "x") -> Tensor:
    return Tensor(name, datatype, shape, data)


@pytest.mark.parametrize(
    ("model", "version", "expected"),
    [(None, "1", [2, 1, 4, 3]), ("1", "1", [2, 1, 4, 3]), ("1:c", "1:c", [2, 4, 6, 8])],
)
@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]])
def test_the_outputs_are_the_models(model: str | None, version: str, expected: list[float], data: list[Any]) -> None:
    answer = job().ask(ASKED, model=model, inputs=[tensor(data, [2, 2])])
    assert (answer.model_name, answer.model_version) == ("job", version)
    (output,) = answer.outputs
    assert (output.name, output.datatype, output.shape, output.data) == ("output_0", "FP32", [2, 2], expected)


@pytest.mark.parametrize(("first", "rows", "taken"), [(0, 16, ROWS), (2, 3, ROWS[2:5]), (5, 9, ROWS[5:])])
def test_rows_of_a_data_set_are_run(first: int, rows: int, taken: Any) -> None:
    (output,) = job().ask(ASKED, dataset="test", first=first, rows=rows, model="1:c").outputs
    assert output.shape == list(taken.shape)
    assert output.data == (2 * taken).ravel().tolist()


def test_inputs_are_matched_by_name_or_else_taken_in_order() -> None:
    specs = [InputSpec(name, np.dtype(np.float32), (None, 1)) for name in ("left", "right")]
    stored = running_job(
        lambda vector, inputs: ([inputs[0] - inputs[1]], {}), {"c": [0]}, inputs=specs,
        datasets={"pairs": {"inputs": ROWS[:, :1], "more": ROWS[:, 1:], "targets": ROWS, "zeros": 0 * ROWS}},
    )  # fmt: skip
    named = [tensor([5], [1, 1], name="right"), tensor([3], [1, 1], name="left")]
    assert stored.ask(ASKED, model="1:c", inputs=named).outputs[0].data == [-2]
    unnamed = [tensor([5], [1, 1], name="a"), tensor([3], [1, 1], name="b")]
    assert stored.ask(ASKED, model="1:c", inputs=unnamed).outputs[0].data == [2]
    assert stored.ask(ASKED, model="1:c", dataset="pairs").outputs[0].data == [-1.0] * 6


@pytest.mark.parametrize("code", DATATYPES)
def test_every_datatype_is_read_and_told(code: str) -> None:
    stored = running_job(lambda vector, inputs: (list(inputs), {}), {"c": [0]})
    (output,) = stored.ask(ASKED, model="1:c", inputs=[tensor([0, 1, 1], [3], code)]).outputs
    assert (output.datatype, output.shape, output.data) == (code, [3], [0, 1, 1])


def test_several_outputs_are_numbered_and_a_scalar_has_no_dimensions() -> None:
    stored = running_job(lambda vector, inputs: ([inputs[0], np.array(7, np.float32)], {}), {"c": [0]})
    first, second = stored.ask(ASKED, model="1:c", inputs=[tensor([1, 2], [1, 2])]).outputs
    assert (first.name, second.name, second.shape, second.data) == ("output_0", "output_1", [], [7.0])


def test_inputs_may_come_as_json_objects_and_the_scale_reaches_the_adapter() -> None:
    stored = job()
    stored.ask(ASKED, inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}], scale=0.25)
    assert stored.access is not None
    assert stored.access.scales == [0.25]


def test_the_model_named_chooses_the_round() -> None:
    index = Index(committed=[1, 4], open=[5])
    tensors = [tensor([1], [1])]
    assert ASKED.select(InferenceParams(inputs=tensors), index) == [4]
    assert ASKED.select(InferenceParams(inputs=tensors, model="5:c"), index) == [5]
    assert ASKED.select(InferenceParams(inputs=tensors, model="artifact:x"), index) == []
    assert ASKED.datasets(InferenceParams(dataset="test")) == ["test"]
    assert ASKED.datasets(InferenceParams(inputs=tensors)) == []
    with pytest.raises(NotFound, match="round 3 has no updates"):
        ASKED.select(InferenceParams(inputs=tensors, model="3"), index)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (tensor([1, 2], [1, 2], "FLOAT"), "'x': datatype 'FLOAT' is unknown; use one of BOOL, UINT8"),
        (tensor([1, 2, 3], [1, 2]), r"'x': data do not fit datatype FP32 and shape \[1, 2\]"),
        (tensor([[1], [2, 3]], [3]), "'x': data do not fit"),
        (tensor(["one"], [1]), "'x': data do not fit"),
        (tensor([300], [1], "UINT8"), "'x': data do not fit datatype UINT8"),
        (tensor([None], [1], "INT64"), "'x': data do not fit datatype INT64"),
    ],
)
def test_tensors_that_do_not_fit_themselves_are_refused(given: Tensor, said: str) -> None:
    with pytest.raises(InvalidParameters, match=said):
        job().ask(ASKED, inputs=[given])


def test_what_cannot_be_run_is_refused() -> None:
    for params in ({}, {"dataset": "test", "inputs": [tensor([1], [1])]}):
        with pytest.raises(InvalidParameters, match="give either inputs or dataset, and not both"):
            InferenceParams(**params)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameters, match="first is 6; data set 'test' has 6 rows, numbered from 0"):
        job().ask(ASKED, dataset="test", first=6)
    with pytest.raises(NotEnoughData, match="round 1 has no aggregate; name a client's model"):
        job(aggregate=None).ask(ASKED, dataset="test")
    with pytest.raises(NotFound, match="no data set 'tset'"):
        job().ask(ASKED, dataset="tset")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_json_cannot_express_are_refused(value: float) -> None:
    stored = running_job(lambda vector, inputs: ([np.array([1.0, value])], {}), {"c": [0]}, inputs=[FLOATS])
    with pytest.raises(InvalidParameters, match="output_0 of the model has a NaN or an infinity"):
        stored.ask(ASKED, model="1:c", inputs=[tensor([1, 2], [1, 2])])
