"""Files that other libraries have written: stored in canonical order, and the receipt says so."""

import hashlib
import json
from base64 import b64encode
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load

from tests.gateway.routes.test_rounds import ROUND
from tests.gateway.world import World, body, world
from tests.running.jobs import problem
from tests.writers import WRITERS, Arrays, entries, file_of, tensors_in

FOREIGN = ["mlx", "tinygrad", "mapped"]


@pytest.fixture
def job(gateway: World) -> World:
    """A job that exists, and nothing in it."""
    gateway.create()
    return gateway


def arrays(seed: int) -> Arrays:
    """Return an update's arrays in an order that is not the canonical one."""
    found = load(body(seed))
    return {name: found[name] for name in ("weight", "steps", "bias")}


def foreign(writer: str, seed: int, metadata: dict[str, str] | None = None) -> bytes:
    return WRITERS[writer](arrays(seed), metadata)


async def put(http: httpx.AsyncClient, client: str, content: bytes, **headers: str) -> httpx.Response:
    return await http.put(f"{ROUND}/clients/{client}", content=content, headers=headers)


@pytest.mark.parametrize("writer", FOREIGN)
async def test_a_file_in_an_order_of_its_own_is_stored_in_ours_and_the_receipt_has_both_hashes(
    http: httpx.AsyncClient, job: World, writer: str
) -> None:
    content = foreign(writer, 3, {"format": writer, "metrics": '{"loss": 0.5}'})
    digest = hashlib.sha256(content)
    stated = f"sha-256=:{b64encode(digest.digest()).decode()}:"
    answer = await put(http, "c", content, **{"Content-Digest": stated})
    assert answer.status_code == 201, answer.text
    back = (await http.get(f"{ROUND}/clients/c")).content
    receipt = answer.json()
    assert (receipt["rewritten"], receipt["received_sha256"]) == (True, digest.hexdigest())
    assert (receipt["sha256"], receipt["nbytes"]) == (hashlib.sha256(back).hexdigest(), len(back))
    assert receipt["sha256"] != receipt["received_sha256"]
    assert tensors_in(back) == tensors_in(content)
    assert back[8 + int.from_bytes(back[:8], "little") :] == body(3)[8 + int.from_bytes(body(3)[:8], "little") :]
    (member,) = (await http.get(ROUND)).json()["members"]
    assert (member["sha256"], member["metrics"]) == (receipt["sha256"], {"loss": 0.5})


@pytest.mark.parametrize("writer", FOREIGN)
async def test_the_same_file_again_is_a_repetition(http: httpx.AsyncClient, job: World, writer: str) -> None:
    first = (await put(http, "c", foreign(writer, 3))).json()
    again = await put(http, "c", foreign(writer, 3))
    assert (again.status_code, again.json()) == (200, {**first, "created": False})
    assert "different bytes" in problem(await put(http, "c", foreign(writer, 4)), 409, "conflict")["detail"]
    replaced = await http.put(f"{ROUND}/clients/c?replace=true", content=foreign(writer, 4))
    assert (replaced.status_code, replaced.json()["rewritten"]) == (201, True)
    np.testing.assert_array_equal(load((await http.get(f"{ROUND}/clients/c")).content)["weight"], arrays(4)["weight"])


async def test_answers_are_those_of_the_same_models_in_canonical_order(http: httpx.AsyncClient, job: World) -> None:
    usual = world()
    usual.create()
    for index, writer in enumerate([*FOREIGN, "candle"]):
        assert (await put(http, f"c{index}", foreign(writer, index + 1))).status_code == 201
        usual.put(0, f"c{index}", index + 1)
    await http.put(f"{ROUND}/aggregate", content=foreign("mlx", 9))
    usual.put_aggregate(0, 9)
    job.commit(0)
    usual.commit(0)
    for workload in ("cosine-similarity", "inspect", "malicious-filter", "aggregate"):
        params: dict[str, Any] = {"method": "median"} if workload == "aggregate" else {}
        ours, expected = (each.run(workload, round=0, **params) for each in (job, usual))
        assert _without_links(ours.result) == _without_links(expected.result)
        assert ours.execution.work.misses == 0, "shards were sent the slices, and read nothing from the store"


def _without_links(answer: Any) -> Any:
    return {name: value for name, value in json.loads(json.dumps(answer)).items() if name != "artifact"}


@pytest.mark.parametrize("spaces", [1, 3 << 20])
async def test_padding_is_kept_while_it_is_short(http: httpx.AsyncClient, job: World, spaces: int) -> None:
    length = int.from_bytes(body(1)[:8], "little")
    content = file_of(body(1)[8 : 8 + length] + b" " * spaces, body(1)[8 + length :])
    receipt = (await put(http, "c", content)).json()
    back = (await http.get(f"{ROUND}/clients/c")).content
    assert receipt["rewritten"] == (back != content) == (spaces > 1)
    assert len(back) < 2000
    assert tensors_in(back) == tensors_in(content)


async def test_what_is_wrong_with_the_numbers_is_said_of_the_right_tensor(http: httpx.AsyncClient, job: World) -> None:
    wrong = {**arrays(1), "bias": np.array([1.0, np.nan], np.float32)}
    answer = await put(http, "c", WRITERS["mlx"](wrong, None))
    assert problem(answer, 422, "invalid-tensors")["tensor"] == "bias"


@pytest.mark.parametrize("offset", ["-0", "0.0", "0e0", "false"])
async def test_an_offset_that_other_readers_refuse_is_refused(http: httpx.AsyncClient, job: World, offset: str) -> None:
    found, data = entries(arrays(1), ["steps", "bias", "weight"])
    text = json.dumps(found).replace('"data_offsets": [0,', f'"data_offsets": [{offset},')
    answer = await put(http, "c", file_of(text.encode(), data))
    assert problem(answer, 422, "invalid-tensors")["tensor"] == "steps"


async def test_a_data_set_may_lie_in_any_order(http: httpx.AsyncClient, job: World) -> None:
    rows: Arrays = {"targets": np.arange(3), "inputs": np.ones((3, 2), np.float32)}
    answer = await http.put("/v1/jobs/job/datasets/d", content=WRITERS["mlx"](rows, None))
    assert answer.status_code == 201, answer.text
    assert answer.json()["tensors"]["inputs"] == {"dtype": "F32", "shape": [3, 2]}
