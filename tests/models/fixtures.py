"""A whole FLStore with a predictor, and jobs in it whose models run; imported by the conftests that need them."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest
import torch
from safetensors.numpy import save
from torch import nn

from tests.models import digits
from tests.models.networks import Perceptron, exported
from tests.running.jobs import JobOverHttp
from tests.running.processes import System, system

SETTINGS = {
    "FLSTORE_CACHE_BYTES": "64MiB",
    "FLSTORE_IDLE_SECONDS": "0",
    "FLSTORE_REFRESH_SECONDS": "0.3",
    "FLSTORE_PREDICTORS": "1",
    "FLSTORE_SHARDS": "1",
    "FLSTORE_SERVICE_KEYS": "none",  # KServe's own client signs nothing
}
CODES = {torch.float32: "F32", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16"}


@pytest.fixture(scope="session")
def predicting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A controller, a shard, a predictor and a gateway over a directory."""
    folder = tmp_path_factory.mktemp("predicting")
    with system(str(folder / "store"), folder, {}, SETTINGS) as running:
        running.http.timeout = httpx.Timeout(120.0)
        yield running


@pytest.fixture(scope="session")
def digits_job(predicting: System) -> JobOverHttp:
    """The trained digits: round 0 has the base as its aggregate, round 1 the clients and theirs."""
    trained = digits.trained()
    job = job_of(predicting.http, trained.base)
    put_round(job, 0, {}, trained.base)
    put_round(job, 1, trained.clients, trained.aggregate, trained.examples)
    assert job.http.put(f"{job.url}/model", content=exported(Perceptron(), trained.inputs[:4])).status_code == 201
    put_dataset(job, "test", {"inputs": trained.inputs.numpy(), "targets": trained.targets.numpy()})
    return job


def job_of(http: httpx.Client, state: Mapping[str, torch.Tensor], **settings: Any) -> JobOverHttp:
    """Create a job whose schema is a state dict's."""
    job = JobOverHttp(http, f"job-{uuid4().hex[:12]}")
    schema = [{"name": name, "dtype": CODES[t.dtype], "shape": list(t.shape)} for name, t in state.items()]
    answer = http.put(job.url, json={"schema": schema, **settings})
    assert answer.status_code == 201, answer.text
    return job


def put_round(
    job: JobOverHttp,
    number: int,
    clients: Mapping[str, digits.State],
    aggregate: digits.State,
    examples: Mapping[str, int] | None = None,
) -> None:
    """Store and commit a round."""
    for name, state in clients.items():
        metrics = f'{{"num_examples": {(examples or {}).get(name, 1)}}}'
        answer = job.put(number, name, save(digits.arrays(state)), **{"X-FLStore-Metrics": metrics})
        assert answer.status_code == 201, answer.text
    assert job.put_aggregate(number, save(digits.arrays(aggregate))).status_code == 201
    assert job.commit(number).status_code == 200


def put_dataset(job: JobOverHttp, name: str, tensors: Mapping[str, Any]) -> None:
    answer = job.http.put(f"{job.url}/datasets/{name}", content=save(dict(tensors)))
    assert answer.status_code in (200, 201), answer.text


def ask(job: JobOverHttp, workload: str, **params: Any) -> Any:
    """Run a workload and return its result."""
    answer = job.run(workload, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def plain(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a module's state dict without what shares memory with another entry."""
    state, seen = {}, set()
    for name, tensor in module.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            state[name] = tensor
    return state
