"""Both shells against a real socket: what is sent, and what answers become."""

import hashlib
import re
import tracemalloc
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from flstore_core import codec, flat
from flstore_core.client import AsyncFLStore, FLStore
from flstore_core.errors import DigestMismatch, InvalidId, InvalidParameters, NotFound, Unavailable
from flstore_core.ids import encode
from flstore_core.schema import Schema, TensorSpec
from tests.client.conftest import Either
from tests.client.scripted import RECEIPT, Script
from tests.writers import WRITERS

ARRAYS: dict[str, NDArray[Any]] = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array([7], np.int64)}
JOB = {"job": "j", "parameters": 6, "nbytes": 32, "schema": [{"name": "w"}, {"name": "steps"}]}
ROUND = {
    "round": 3,
    "base": 2,
    "members": [
        {
            "client": "c1",
            "sha256": "00",
            "nbytes": 10,
            "data_offset": 8,
            "metrics": {"num_examples": 4},
            "received_at": 1.5,
        }
    ],
    "aggregate": None,
    "metrics": {},
    "hyperparameters": {},
    "committed_at": 2.5,
}
ANSWER = {
    "job": "j",
    "workload": "cosine-similarity",
    "pattern": "P2",
    "rounds": [3],
    "result": {"clients": ["c1"], "pairs": [{"a": "c1", "similarity": 0.5}]},
    "execution": {"where": "gateway", "total_ms": 1.25},
}


def test_arrays_arrive_as_the_safetensors_library_reads_them(client: Either, script: Script) -> None:
    script.receipt()
    assert client.put_update("j", 3, "c1", ARRAYS, metrics={"num_examples": np.int64(4)}).created
    (seen,) = script.seen
    assert (seen.method, seen.path) == ("PUT", "/v1/jobs/j/rounds/3/clients/c1")
    assert seen.headers["content-length"] == str(len(seen.body))
    assert "transfer-encoding" not in seen.headers
    found = safetensors.numpy.load(seen.body)
    assert found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert codec.parse(memoryview(seen.body)).metadata == {"metrics": '{"num_examples": 4}'}


@pytest.mark.parametrize("kind", [bytes, memoryview, Path, str])
def test_ready_files_are_sent_as_they_are_with_metrics_beside(
    client: Either, script: Script, tmp_path: Path, kind: type[Any]
) -> None:
    body = safetensors.numpy.save(ARRAYS)
    file = tmp_path / "u.safetensors"
    file.write_bytes(body)
    script.receipt()
    client.put_update("j", 3, "c1", kind(file if kind in (Path, str) else body), metrics={"loss": 0.5})
    assert script.seen[0].body == body
    assert script.seen[0].headers["x-flstore-metrics"] == '{"loss": 0.5}'


@pytest.mark.parametrize("model", [ARRAYS, b"anything"])
def test_a_model_goes_with_its_hash_and_a_receipt_of_another_is_an_error(
    client: Either, script: Script, model: Any
) -> None:
    script.receipt()
    script.reply(RECEIPT | {"sha256": "00"})
    receipt = client.put_update("j", 3, "c1", model)
    (seen,) = script.seen
    digest = hashlib.sha256(seen.body)
    assert seen.headers["content-digest"] == f"sha-256=:{b64encode(digest.digest()).decode()}:"
    assert receipt.sha256 == digest.hexdigest()
    with pytest.raises(DigestMismatch, match=f"was sent as {digest.hexdigest()}, but the store has 00"):
        client.put_update("j", 3, "c1", model)


def test_a_file_that_the_server_put_in_order_is_no_damage(client: Either, script: Script) -> None:
    body = WRITERS["mlx"](ARRAYS, None)
    sent = hashlib.sha256(body).hexdigest()
    script.reply(RECEIPT | {"sha256": "00", "rewritten": True, "received_sha256": sent})
    receipt = client.put_update("j", 3, "c1", body)
    assert (receipt.sha256, receipt.rewritten, receipt.received_sha256) == ("00", True, sent)
    with pytest.raises(DigestMismatch, match=f"but the store has {sent}"):
        client.put_update("j", 3, "c1", ARRAYS)


def test_programs_and_data_sets_go_with_their_hash_and_questions_without(client: Either, script: Script) -> None:
    script.reply({"jobs": []})
    client.put_program("j", b"program")
    client.put_dataset("j", "d", {"inputs": np.zeros((1, 2))})
    client.jobs()
    assert ["content-digest" in seen.headers for seen in script.seen] == [True, True, False]


def test_the_aggregate_has_its_own_path(client: Either, script: Script) -> None:
    script.receipt(client="aggregate")
    client.put_aggregate("j", 3, ARRAYS)
    assert script.seen[0].path == "/v1/jobs/j/rounds/3/aggregate"


def test_progress_grows_to_the_whole(client: Either, script: Script) -> None:
    script.receipt()
    calls: list[tuple[int, int]] = []
    client.put_update("j", 3, "c1", {"w": np.zeros(300_000)}, progress=lambda done, total: calls.append((done, total)))
    done = [each for each, _ in calls]
    assert done == sorted(done)
    assert len(done) > 5
    assert calls[-1] == (len(script.seen[0].body),) * 2


@pytest.mark.parametrize("shell", [FLStore, AsyncFLStore])
async def test_an_upload_is_never_joined_in_memory(script: Script, shell: type[Any]) -> None:
    script.receipt()
    script.keep_bodies = False
    big = {f"layer{i}": np.zeros(2 << 20, np.float32) for i in range(4)}
    client = shell(script.url)
    tracemalloc.start()
    answer = client.put_update("j", 3, "c1", big)
    assert (await answer if shell is AsyncFLStore else answer).created
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    closed = client.close()
    if closed is not None:
        await closed
    assert peak < 8 << 20


def test_a_download_gives_the_arrays_back(client: Either, script: Script) -> None:
    body = safetensors.numpy.save(ARRAYS)
    script.reply_bytes(body, ETag=f'"{hashlib.sha256(body).hexdigest()}"')
    script.reply(JOB)
    script.reply_bytes(body)
    found = client.get_update("j", 3, "c1")
    assert list(found) == ["w", "steps"], "in the order in which the job was created"
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert client.download_raw("j", 3, "aggregate") == body
    assert script.seen[2].path == "/v1/jobs/j/rounds/3/aggregate"


def test_a_download_names_the_hash_that_it_must_have(client: Either, script: Script) -> None:
    body = safetensors.numpy.save(ARRAYS)
    digest = hashlib.sha256(body).hexdigest()
    script.reply_bytes(body, ETag=f'"{digest}"')
    script.reply_bytes(body, ETag=f'"{digest}"')
    script.reply(JOB)
    assert client.download_raw("j", 3, "aggregate", sha256=digest) == body
    assert [*client.get_aggregate("j", 3, sha256=digest)] == ["w", "steps"]
    assert [seen.headers.get("if-match") for seen in script.seen] == [f'"{digest}"', f'"{digest}"', None]


def test_a_file_of_another_hash_is_a_mismatch(client: Either, script: Script) -> None:
    script.problem(412, "precondition-failed", "the file has the SHA-256 00")
    with pytest.raises(DigestMismatch, match="/v1/jobs/j/rounds/3/aggregate: the file has the SHA-256 00"):
        client.download_raw("j", 3, "aggregate", sha256="9f")


def test_bfloat16_is_widened_exactly(client: Either, script: Script) -> None:
    values = np.array([1.0, -2.5, 0.15625], np.float32)
    header = codec.encode_header(Schema((TensorSpec("w", "BF16", (3,)),)))
    script.reply_bytes(header + flat.narrow_to_bfloat16(values).tobytes())
    script.reply(JOB)
    assert client.get_aggregate("j", 3)["w"].tolist() == values.tolist()


def test_a_download_that_is_not_what_was_stored_is_refused(client: Either, script: Script) -> None:
    script.reply_bytes(safetensors.numpy.save(ARRAYS), ETag=f'"{"0" * 64}"')
    with pytest.raises(Unavailable, match="and not 0000"):
        client.get_artifact("j", {"href": "/v1/jobs/j/artifacts/a1"})
    assert script.seen[0].path == "/v1/jobs/j/artifacts/a1"


def test_creating_a_job_sends_names_dtypes_and_shapes_only(client: Either, script: Script) -> None:
    script.reply({"job": "j", "parameters": 6, "nbytes": 32, "schema": [], "new_field": 1}, 201)
    assert client.create_job("j", like=ARRAYS, slices=2).parameters == 6
    sent = script.seen[0].json
    assert sent["slices"] == 2
    assert sent["schema"] == [
        {"name": "w", "dtype": "F32", "shape": [2, 3]},
        {"name": "steps", "dtype": "I64", "shape": [1]},
    ]


def test_a_list_is_sent_by_the_names_of_the_jobs_tensors_and_comes_back_in_their_order(
    client: Either, script: Script
) -> None:
    script.reply(JOB)
    script.receipt()
    client.put_update("j", 3, "c1", [ARRAYS["w"], ARRAYS["steps"]])
    assert script.seen[0].path == "/v1/jobs/j"
    found = safetensors.numpy.load(script.seen[1].body)
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    script.replies.clear()
    script.reply(JOB)
    with pytest.raises(InvalidParameters, match="the list has 1 arrays, and the job 2 tensors"):
        client.put_update("j", 3, "c1", [ARRAYS["w"]])


def test_a_job_needs_a_schema_from_somewhere(client: Either) -> None:
    with pytest.raises(InvalidParameters, match="like"):
        client.create_job("j")


def test_answers_are_read_by_attribute(client: Either, script: Script) -> None:
    script.reply(ANSWER)
    answer = client.run("j", "cosine-similarity", round=3, job="a parameter may be named so")
    assert answer.result.pairs[0].similarity == 0.5
    assert answer.result["clients"] == ["c1"]
    assert answer.execution.where == "gateway"
    assert answer.raw == ANSWER
    assert script.seen[0].json == {"round": 3, "job": "a parameter may be named so"}
    with pytest.raises(AttributeError, match="there are clients, pairs"):
        _ = answer.result.clusters


def test_a_commit_returns_the_record(client: Either, script: Script) -> None:
    script.reply(ROUND)
    record = client.commit("j", 3, hyperparameters={"lr": 0.1}, participants=["c1"])
    assert record.by_client["c1"].num_examples == 4
    assert record.committed
    assert script.seen[0].json == {"metrics": {}, "hyperparameters": {"lr": 0.1}, "participants": ["c1"]}


def test_an_operation_is_waited_for(client: Either, script: Script) -> None:
    running = {"id": "op1", "state": "running", "created_at": 1.0}
    script.reply(None, 202, Location="/v1/operations/op1")
    script.reply(running)
    script.reply(running)
    script.reply(running | {"state": "succeeded", "result": ANSWER})
    operation = client.submit("j", "aggregate", round=3)
    assert operation.state == "running"
    assert client.wait(operation).result.clients == ["c1"]
    assert script.seen[0].headers["prefer"] == "respond-async"


def test_a_failed_operation_raises_its_problem(client: Either, script: Script) -> None:
    problem = {"code": "not-found", "status": 404, "detail": "round 9 is not there"}
    script.reply({"id": "op1", "state": "failed", "problem": problem})
    with pytest.raises(NotFound, match="round 9"):
        client.wait("op1")


def test_an_operation_that_never_ends_is_given_up(client: Either, script: Script) -> None:
    script.reply({"id": "op1", "state": "running"})
    with pytest.raises(Unavailable, match="still runs"):
        client.wait("op1", timeout=0.1)


def test_lists_and_tables_are_read(client: Either, script: Script) -> None:
    script.reply({"jobs": [{"job": "j", "parameters": 6, "nbytes": 24, "committed": 2, "open": [2], "latest": 1}]})
    script.reply({"rounds": [{"round": 1, "committed": True, "clients": 10, "base": 0}]})
    script.reply({"client": "c1", "rounds": [1, 2], "objects": 4, "tombstone": "audit/j/c1.json"})
    script.reply({"workloads": [{"name": "metrics"}]})
    assert [(job.job, job.open) for job in client.jobs()] == [("j", (2,))]
    assert client.rounds("j")[0].clients == 10
    assert client.erase_client("j", "c1").objects == 4
    assert client.workloads()[0].name == "metrics"


@pytest.mark.parametrize("name", ["../x", "", "a/b", "a\n", "x" * 300, ".."])
def test_hostile_names_are_refused_before_anything_is_sent(client: Either, script: Script, name: str) -> None:
    with pytest.raises(InvalidId):
        client.run("j", name)
    assert not script.seen


@pytest.mark.parametrize("name", ["", "x" * 300])
def test_no_name_at_all_and_one_that_is_too_long_name_no_job(client: Either, script: Script, name: str) -> None:
    for call in (client.job, client.delete_job):
        with pytest.raises(InvalidId):
            call(name)
    assert not script.seen


@pytest.mark.parametrize("name", ["../x", "a/b", "a\n", "..", "?a=b", "%2e%2e"])
def test_whatever_a_job_is_called_its_name_is_one_part_of_the_path(client: Either, script: Script, name: str) -> None:
    script.reply({"job": name, "parameters": 6, "nbytes": 24, "committed": 0, "open": []})
    client.job(name)
    assert script.seen[0].path == f"/v1/jobs/{encode(name)}"
    assert re.fullmatch(r"/v1/jobs/x--[A-Za-z0-9._-]+", script.seen[0].path)


@pytest.mark.parametrize("metrics", [{"loss": float("nan")}, {"x": object()}])
def test_metrics_that_are_no_json_are_refused(client: Either, script: Script, metrics: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters):
        client.put_update("j", 1, "c", ARRAYS, metrics=metrics)
    assert not script.seen


def test_a_missing_file_is_named(client: Either) -> None:
    with pytest.raises(InvalidParameters, match=r"gone\.safetensors"):
        client.put_update("j", 1, "c", "gone.safetensors")


def test_the_token_travels_and_the_url_may_have_a_path(script: Script) -> None:
    script.reply({"jobs": []})
    with FLStore(script.url + "/fl/", token="secret") as client:
        assert client.jobs() == []
    assert script.seen[0].path == "/fl/v1/jobs"
    assert script.seen[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("url", ["127.0.0.1:80", "", "ftp://x", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidParameters, match="URL"):
        FLStore(url)


def test_help_shows_the_call_and_what_it_returns() -> None:
    from inspect import signature

    assert str(signature(FLStore.erase_client)).endswith("-> flstore_core.client.results.Erasure")
    assert FLStore.run.__doc__ == AsyncFLStore.run.__doc__
    assert "Run a workload" in (FLStore.run.__doc__ or "")
