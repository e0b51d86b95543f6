"""The predictor speaks the Open Inference Protocol v2: to KServe's own client, and in its versions."""

from typing import Any

import httpx
import numpy as np
import pytest
import torch
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.constants.constants import PredictorProtocol

from tests.models import digits
from tests.models.fixtures import job_of, put_round
from tests.models.networks import Perceptron, exported
from tests.running.jobs import JobOverHttp
from tests.running.processes import System


@pytest.fixture(scope="module")
def url(predicting: System, digits_job: JobOverHttp) -> str:
    """Where the predictor answers; the fixture's job has put everything in place."""
    (predictor,) = [each for each in predicting.shards() if each["shard"] == "predictor-0"]
    found: str = predictor["url"]
    return found


def outputs(state: digits.State, inputs: torch.Tensor) -> Any:
    model = Perceptron()
    model.load_state_dict(dict(state))
    with torch.inference_mode():
        return model(inputs).numpy()


def request(images: torch.Tensor, *, binary: bool) -> InferRequest:
    tensor = InferInput("images", list(images.shape), "FP32")
    tensor.set_data_from_numpy(images.numpy(), binary_data=binary)
    return InferRequest("any", [tensor], parameters={"binary_data_output": binary})


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("version", ["", "/versions/1", "/versions/0", "/versions/1:c2"])
async def test_kserves_own_client_gets_what_pytorch_gives(
    url: str, digits_job: JobOverHttp, version: str, binary: bool
) -> None:
    trained = digits.trained()
    states = {"": trained.aggregate, "/versions/1": trained.aggregate, "/versions/0": trained.base}
    images = trained.inputs[:6]
    client = InferenceRESTClient(RESTConfig(protocol=PredictorProtocol.REST_V2.value, timeout=60))
    try:
        answer = await client.infer(url, request(images, binary=binary), model_name=digits_job.name + version)
    finally:
        await client.close()
    expected = outputs(states.get(version, trained.clients["c2"]), images)
    (output,) = answer.outputs
    assert (answer.model_name, output.name) == (digits_job.name, "output_0")
    assert output.as_numpy() == pytest.approx(expected, rel=1e-5, abs=1e-6)


async def test_kserves_own_client_sees_server_and_models_ready(url: str, digits_job: JobOverHttp) -> None:
    client = InferenceRESTClient(RESTConfig(protocol=PredictorProtocol.REST_V2.value, timeout=60))
    try:
        assert await client.is_server_live(url)
        assert await client.is_server_ready(url)
        assert await client.is_model_ready(url, digits_job.name)
    finally:
        await client.close()


def test_a_model_is_described_by_its_program(url: str, digits_job: JobOverHttp) -> None:
    told = httpx.get(f"{url}/v2/models/{digits_job.name}").json()
    (given,) = told["inputs"]
    assert (given["datatype"], given["shape"]) == ("FP32", [-1, 64])
    version = httpx.get(f"{url}/v2/models/{digits_job.name}/versions/1:c0").json()
    assert version["versions"] == ["1:c0"]
    assert digits_job.name in httpx.get(f"{url}/v2/models").json()["models"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("models/nobody/infer", 404),
        ("models/{job}/versions/77/infer", 404),
        ("models/{job}/versions/1:nobody/infer", 404),
        ("models/{job}/versions/newest/infer", 422),
        ("models/..%2f..%2fetc/infer", 404),
    ],
)
def test_what_is_not_there_is_told(url: str, digits_job: JobOverHttp, path: str, status: int) -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.0] * 64}]}
    answer = httpx.post(f"{url}/v2/{path.format(job=digits_job.name)}", json=body)
    assert answer.status_code == status, answer.text


def test_a_wrong_shape_is_told(url: str, digits_job: JobOverHttp) -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0.0] * 3}]}
    answer = httpx.post(f"{url}/v2/models/{digits_job.name}/infer", json=body)
    assert answer.status_code == 422
    assert "['any', 64]" in answer.json()["detail"]


def test_metrics_are_kserves_and_the_caches(url: str, digits_job: JobOverHttp) -> None:
    text = httpx.get(f"{url}/metrics").text
    assert "request_predict_seconds" in text
    assert 'flstore_cache_hits_total{pattern="P1",policy="tailored",shard="predictor-0"}' in text


def test_models_asked_again_come_from_the_cache(url: str, digits_job: JobOverHttp) -> None:
    for expected in (None, {"hits", "misses"}):
        answer = digits_job.http.post(
            f"{digits_job.url}/workloads/evaluate", json={"round": 1}, headers={"cache-control": "no-cache"}
        ).json()
        if expected:
            assert answer["execution"]["misses"] == 0
            assert answer["execution"]["hits"] == digits.CLIENTS + 4  # aggregate, program, data set, round record
        assert answer["execution"]["where"] == "predictors"
        assert answer["execution"]["shards"] == ["predictor-0"]


def test_an_erased_client_is_no_longer_served(predicting: System, url: str) -> None:
    trained = digits.trained()
    job = job_of(predicting.http, trained.base)
    put_round(job, 0, {name: trained.clients[name] for name in ("c0", "c1")}, trained.aggregate)
    assert job.http.put(f"{job.url}/model", content=exported(Perceptron(), trained.inputs[:2])).status_code == 201
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": np.zeros(64).tolist()}]}
    place = f"{url}/v2/models/{job.name}/versions/0:c0/infer"
    assert httpx.post(place, json=body).status_code == 200
    assert job.http.delete(f"{job.url}/clients/c0").status_code == 200
    assert httpx.post(place, json=body).status_code == 404
    assert job.http.delete(job.url).status_code == 204
