"""Programs, data sets and artifacts over HTTP."""

import hashlib
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import Tensor, nn

from flstore_core import layout
from flstore_core.files import FileName
from tests.fakes.store import Call
from tests.gateway.world import HOME, NAME, World
from tests.models.networks import exported
from tests.running.jobs import problem

MODEL = "/v1/jobs/job/model"
DATASETS = "/v1/jobs/job/datasets"


class Linear(nn.Module):
    """Two inputs, two outputs: parameters `weight` and `bias`, as the job has them."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, 2))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.steps = nn.Buffer(torch.tensor(0))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight.T + self.bias + self.steps


@pytest.fixture(scope="module")
def program() -> bytes:
    return exported(Linear(), torch.zeros(3, 2))


@pytest.fixture(autouse=True)
def job(gateway: World) -> World:
    gateway.create()
    return gateway


def dataset(rows: int = 3, seed: int = 0) -> bytes:
    inputs = np.random.default_rng(seed).standard_normal((rows, 2), np.float32)
    return save({"inputs": inputs, "targets": np.arange(rows)})


async def test_a_program_is_stored_described_and_read_back(http: httpx.AsyncClient, job: World, program: bytes) -> None:
    answer = await http.put(MODEL, content=program)
    assert answer.status_code == 201, answer.text
    document = answer.json()
    sha256 = hashlib.sha256(program).hexdigest()
    assert (document["job"], document["sha256"], document["nbytes"], document["created"]) == (
        "job",
        sha256,
        len(program),
        True,
    )
    assert document["inputs"] == [{"name": "inputs", "dtype": "F32", "shape": [None, 2]}]
    assert (document["outputs"], document["stored"], document["adapted"], document["frozen"]) == (1, 3, 0, 0)
    assert document["stored_at"] == job.time.now()
    again = await http.put(MODEL, content=program)
    assert (again.status_code, again.json()["created"]) == (200, False)
    back = await http.get(MODEL)
    assert (back.content, back.headers["etag"]) == (program, f'"{sha256}"')
    assert (await http.delete(MODEL)).status_code == 204
    assert list(job.store.contents) == [layout.job(NAME), layout.program_record(HOME)], "a mark is left, and no bytes"
    for answer in (await http.get(MODEL), await http.delete(MODEL)):
        assert "has no program; PUT /v1/jobs/job/model uploads one" in problem(answer, 404, "not-found")["detail"]


async def test_a_program_that_does_not_fit_is_refused(http: httpx.AsyncClient, job: World) -> None:
    problem(await http.put(MODEL, content=b"no archive"), 422, "invalid-program")
    problem(await http.put(MODEL, content=exported(Linear(3), torch.zeros(3, 2))), 422, "schema-mismatch")
    problem(await http.put("/v1/jobs/jub/model", content=b"x"), 404, "not-found")
    assert not [key for key in job.store.contents if "model" in key]


async def test_a_data_set_is_stored_listed_replaced_and_deleted(http: httpx.AsyncClient, job: World) -> None:
    answer = await http.put(f"{DATASETS}/test", content=dataset())
    assert answer.status_code == 201
    tensors = {"inputs": {"dtype": "F32", "shape": [3, 2]}, "targets": {"dtype": "I64", "shape": [3]}}
    assert answer.json()["tensors"] == tensors
    assert (await http.put(f"{DATASETS}/test", content=dataset())).status_code == 200
    other = await http.put(f"{DATASETS}/test", content=dataset(5))
    assert (other.status_code, other.json()["created"]) == (201, True)
    assert (await http.get(f"{DATASETS}/test")).content == dataset(5)
    part = await http.get(f"{DATASETS}/test", headers={"range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, dataset(5)[:8])
    await http.put(f"{DATASETS}/tests", content=dataset(2))
    assert [row["dataset"] for row in (await http.get(DATASETS)).json()["datasets"]] == ["test", "tests"]
    assert (await http.delete(f"{DATASETS}/test")).status_code == 204
    assert problem(await http.get(f"{DATASETS}/test"), 404, "not-found")["nearest"] == ["tests"]
    problem(await http.delete(f"{DATASETS}/test"), 404, "not-found")
    assert [key for key in job.store.contents if "/test" in key and key.endswith(".safetensors")] == [
        FileName.dataset(HOME, "tests").file_of(job.state.programs.read_dataset(job.job, "tests").upload)
    ]


@pytest.mark.parametrize(
    ("tensors", "shown"),
    [
        ({"targets": np.zeros(3)}, "targets [3]"),
        ({"inputs": np.zeros(3), "targets": np.zeros(4)}, "inputs [3], targets [4]"),
        ({"inputs": np.zeros((0, 2))}, "inputs [0, 2]"),
        ({"inputs": np.array(1.0)}, "inputs []"),
        ({}, "none"),
    ],
)
async def test_a_data_set_has_inputs_and_rows(http: httpx.AsyncClient, tensors: dict[str, Any], shown: str) -> None:
    document = problem(await http.put(f"{DATASETS}/test", content=save(tensors)), 422, "invalid-tensors")
    assert document["detail"].endswith(f"the tensors of this one: {shown}")


async def test_names_of_data_sets_and_artifacts_are_checked(http: httpx.AsyncClient) -> None:
    assert "data set name" in problem(await http.get(f"{DATASETS}/.x"), 422, "invalid-id")["detail"]
    assert "artifact name" in problem(await http.get("/v1/jobs/job/artifacts/.x"), 422, "invalid-id")["detail"]
    problem(await http.get("/v1/jobs/jub/datasets"), 404, "not-found")


async def test_a_model_that_a_workload_wrote_is_downloaded(http: httpx.AsyncClient, job: World) -> None:
    job.fill(0, 2)
    job.commit(0)
    link = (await http.post("/v1/jobs/job/workloads/aggregate", json={"round": 0})).json()["result"]["artifact"]
    back = await http.get(link["href"])
    assert hashlib.sha256(back.content).hexdigest() == link["sha256"]
    assert len(back.content) == link["nbytes"]
    part = await http.get(link["href"], headers={"range": "bytes=-4"})
    assert (part.status_code, part.content) == (206, back.content[-4:])
    problem(await http.get("/v1/jobs/job/artifacts/" + "0" * 32), 404, "not-found")


async def test_a_model_that_a_workload_wrote_is_deleted_and_written_anew(http: httpx.AsyncClient, job: World) -> None:
    job.fill(0, 2)
    job.commit(0)

    async def link() -> dict[str, Any]:
        answer = await http.post("/v1/jobs/job/workloads/aggregate", json={"round": 0})
        result: dict[str, Any] = answer.json()["result"]["artifact"]
        return result

    first = await link()
    assert (await http.delete(first["href"])).status_code == 204
    problem(await http.get(first["href"]), 404, "not-found")
    problem(await http.delete(first["href"]), 404, "not-found")
    assert await link() == first
    assert (await http.get(first["href"])).status_code == 200


async def test_a_data_set_that_is_replaced_while_it_is_read_comes_whole(http: httpx.AsyncClient, job: World) -> None:
    """The record was read, and its file is gone when the bytes are asked for: the later ones come, with their hash."""
    await http.put(f"{DATASETS}/d", content=dataset(3))

    def replace_meanwhile(call: Call) -> None:
        if call.method == "stream":
            job.store.before = lambda call: None
            job.state.programs.put_dataset(job.job, "d", memoryview(dataset(5)))

    job.store.before = replace_meanwhile
    answer = await http.get(f"{DATASETS}/d")
    assert answer.content == dataset(5)
    assert answer.headers["etag"] == f'"{hashlib.sha256(dataset(5)).hexdigest()}"'


async def test_a_data_set_whose_file_is_gone_is_not_found(http: httpx.AsyncClient, job: World) -> None:
    await http.put(f"{DATASETS}/d", content=dataset(3))
    (key,) = [key for key in job.store.contents if "/datasets/d~" in key]
    job.store.delete(key)
    problem(await http.get(f"{DATASETS}/d"), 404, "not-found")
