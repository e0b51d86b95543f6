"""Every call of the API without a transport: the request it makes, and the value its response becomes."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from flstore_core.client import Answer, Erasure, JobInfo, Operation, Receipt, RoundInfo
from flstore_core.client.api import Api
from flstore_core.client.bodies import FileBody
from flstore_core.client.exchange import Exchange, Response
from flstore_core.client.retry import retry_for
from flstore_core.errors import DigestMismatch, InvalidParameters, NotFound, Unavailable
from flstore_core.schema import Schema, TensorSpec
from tests.client.conversation import Sent, converse, ok
from tests.client.scripted import RECEIPT
from tests.client.test_api import ANSWER, ARRAYS, ROUND
from tests.fakes.clock import Clock

API = Api(retry_for(0))
JOB = {"job": "j", "parameters": 7, "nbytes": 32, "open": [4, 5], "schema": [{"name": "w"}], "unknown": "ignored"}
OPERATION = {"id": "op1", "state": "running", "created_at": 2.5, "progress": "a newer server's"}


def call(exchange: Exchange[Any], data: Any = None, **headers: str) -> tuple[Sent, Any]:
    """Return the one request of an exchange, and its answer to a response that holds `data`."""
    sent: list[Sent] = []
    answer = converse(exchange, ok(data, **headers), sent=sent)
    [request] = sent
    return request, answer


Make = Callable[[], Exchange[Any]]


@pytest.mark.parametrize(
    ("exchange", "method", "path"),
    [
        (lambda: API.jobs(), "GET", "/v1/jobs"),
        (lambda: API.job("j"), "GET", "/v1/jobs/j"),
        (lambda: API.delete_job("j"), "DELETE", "/v1/jobs/j"),
        (lambda: API.delete_artifact("j", "abc"), "DELETE", "/v1/jobs/j/artifacts/abc"),
        (lambda: API.delete_artifact("j", {"href": "/v1/jobs/j/artifacts/abc"}), "DELETE", "/v1/jobs/j/artifacts/abc"),
        (lambda: API.create_job("j", like=ARRAYS), "PUT", "/v1/jobs/j"),
        (lambda: API.put_update("j", 3, "c", ARRAYS), "PUT", "/v1/jobs/j/rounds/3/clients/c"),
        (lambda: API.put_aggregate("j", 3, ARRAYS), "PUT", "/v1/jobs/j/rounds/3/aggregate"),
        (
            lambda: API.put_update("j", 3, "c", ARRAYS, replace=True),
            "PUT",
            "/v1/jobs/j/rounds/3/clients/c?replace=true",
        ),
        (lambda: API.put_update("j", 3, "c", ARRAYS, base=2), "PUT", "/v1/jobs/j/rounds/3/clients/c?base=2"),
        (
            lambda: API.put_update("j", 3, "c", ARRAYS, base=2, replace=True),
            "PUT",
            "/v1/jobs/j/rounds/3/clients/c?replace=true&base=2",
        ),
        (
            lambda: API.put_aggregate("j", 3, ARRAYS, base="none"),
            "PUT",
            "/v1/jobs/j/rounds/3/aggregate?base=none",
        ),
        (lambda: API.put_aggregate("j", 3, ARRAYS, replace=True), "PUT", "/v1/jobs/j/rounds/3/aggregate?replace=true"),
        (lambda: API.make_aggregate("j", 3), "POST", "/v1/jobs/j/rounds/3/aggregate"),
        (
            lambda: API.make_aggregate("j", 3, replace=True, method="median"),
            "POST",
            "/v1/jobs/j/rounds/3/aggregate?replace=true",
        ),
        (lambda: API.drop_update("j", 3, "Hospital A"), "DELETE", "/v1/jobs/j/rounds/3/clients/x--Hospital_20A"),
        (lambda: API.drop_aggregate("j", 3), "DELETE", "/v1/jobs/j/rounds/3/aggregate"),
        (lambda: API.drop_round("j", 3), "DELETE", "/v1/jobs/j/rounds/3"),
        (lambda: API.issue_tickets("j", 3, ["a"]), "POST", "/v1/jobs/j/rounds/3/tickets"),
        (lambda: API.put_program("j", b"pt2"), "PUT", "/v1/jobs/j/model"),
        (lambda: API.put_dataset("j", "test", ARRAYS), "PUT", "/v1/jobs/j/datasets/test"),
        (lambda: API.commit("j", 3), "POST", "/v1/jobs/j/rounds/3/commit"),
        (lambda: API.rounds("j"), "GET", "/v1/jobs/j/rounds"),
        (lambda: API.round("j", 3), "GET", "/v1/jobs/j/rounds/3"),
        (lambda: API.get_update("j", 3, "c"), "GET", "/v1/jobs/j/rounds/3/clients/c"),
        (lambda: API.get_aggregate("j", 3), "GET", "/v1/jobs/j/rounds/3/aggregate"),
        (lambda: API.get_artifact("j", "a1"), "GET", "/v1/jobs/j/artifacts/a1"),
        (lambda: API.datasets("j"), "GET", "/v1/jobs/j/datasets"),
        (lambda: API.download_range("/v1/jobs/j/model", 0, 1), "GET", "/v1/jobs/j/model"),
        (lambda: API.download_raw("j", 3, "c"), "GET", "/v1/jobs/j/rounds/3/clients/c"),
        (lambda: API.download_raw("j", 3, "aggregate"), "GET", "/v1/jobs/j/rounds/3/aggregate"),
        (lambda: API.erase_client("j", "c"), "DELETE", "/v1/jobs/j/clients/c"),
        (lambda: API.workloads(), "GET", "/v1/workloads"),
        (lambda: API.run("j", "metrics"), "POST", "/v1/jobs/j/workloads/metrics"),
        (lambda: API.run_anew("j", "metrics"), "POST", "/v1/jobs/j/workloads/metrics"),
        (lambda: API.submit("j", "metrics"), "POST", "/v1/jobs/j/workloads/metrics"),
        (lambda: API.operation("op1"), "GET", "/v1/operations/op1"),
        (lambda: API.cancel("op1"), "DELETE", "/v1/operations/op1"),
        (lambda: API.wait("op1"), "GET", "/v1/operations/op1"),
        (lambda: API.placement(), "GET", "/v1/placement"),
        (lambda: API.cache(), "GET", "/v1/cache"),
        (lambda: API.explain("Job A", 3, "c 0", 1), "GET", "/v1/cache/explain?key=x--Job_20A%2F3%2Fx--c_200%2F1"),
        (lambda: API.explain("j", 3, "aggregate"), "GET", "/v1/cache/explain?key=j%2F3%2Faggregate%2F0"),
        (lambda: API.cost(), "GET", "/v1/cost"),
        (lambda: API.cost("Job A"), "GET", "/v1/cost?job=x--Job_20A"),
        (lambda: API.events(7), "GET", "/v1/events?limit=7"),
        (lambda: API.metrics("j"), "GET", "/v1/jobs/j/metrics"),
        (lambda: API.metrics("j", first=1, last=3, points=9), "GET", "/v1/jobs/j/metrics?first=1&last=3&points=9"),
        (lambda: API.participation("j"), "GET", "/v1/jobs/j/participation"),
        (
            lambda: API.participation("j", columns=8, rows=5, after="c d", metric="a loss"),
            "GET",
            "/v1/jobs/j/participation?columns=8&rows=5&after=x--c_20d&metric=a+loss",
        ),
        (lambda: API.norms("j", 3, tensors=5), "GET", "/v1/jobs/j/rounds/3/norms?tensors=5"),
        (lambda: API.client("j", "c", first=2), "GET", "/v1/jobs/j/clients/c?first=2"),
    ],
)
def test_each_call_makes_its_request(exchange: Make, method: str, path: str) -> None:
    request = next(exchange())
    assert (request.method, request.path, request.delay_s) == (method, path, 0.0)


def test_a_job_is_created_by_its_schema_and_settings() -> None:
    schema = Schema((TensorSpec("w", "BF16", (2, 3)),))
    create = API.create_job("j", schema=schema, statistics="off", updates="delta", weight_key="samples", replicas=2)
    request, job = call(create, {**JOB, "weight_key": "samples"})
    assert request.json == {
        "schema": [{"name": "w", "dtype": "BF16", "shape": [2, 3]}],
        "statistics": "off",
        "updates": "delta",
        "weight_key": "samples",
        "clients_per_round": 10,
        "hot_rounds": 2,
        "replicas": 2,
        "slices": None,
    }
    assert job == JobInfo(job="j", parameters=7, nbytes=32, open=(4, 5), weight_key="samples", schema=({"name": "w"},))


def test_what_a_server_of_version_1_does_not_know_is_sent_only_if_it_is_meant() -> None:
    request, _ = call(API.create_job("j", like=ARRAYS), JOB)
    assert not {"updates", "weight_key"} & request.json.keys()


@pytest.mark.parametrize("given", [{}, {"like": ARRAYS, "schema": Schema(())}])
def test_a_job_takes_its_schema_from_exactly_one_place(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters, match="give either `like`, arrays of a model, or `schema`"):
        next(API.create_job("j", **given))


def test_deleting_returns_nothing() -> None:
    assert call(API.delete_job("j"), {"anything": 1})[1] is None


@pytest.mark.parametrize(
    ("metrics", "header"), [(None, None), ({}, None), ({"loss": 0.5, "ok": True}, '{"loss": 0.5, "ok": true}')]
)
def test_metrics_of_a_ready_file_travel_in_a_header(metrics: dict[str, Any] | None, header: str | None) -> None:
    body = safetensors.numpy.save(ARRAYS)
    stored = RECEIPT | {"sha256": hashlib.sha256(body).hexdigest()}
    request, receipt = call(API.put_update("j", 3, "c1", body, metrics=metrics), stored)
    assert request.body == body
    assert request.headers.get("X-FLStore-Metrics") == header
    assert request.headers["Content-Type"] == "application/octet-stream"
    assert receipt == Receipt.from_json(stored)


def test_a_file_is_sent_from_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(ARRAYS, path)
    stored = RECEIPT | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    request, _ = call(API.put_aggregate("j", 3, path), stored)
    assert request.body == path.read_bytes()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameters, match=r"gone\.safetensors' cannot be read: No such file or directory"):
        next(API.put_update("j", 1, "c", tmp_path / "gone.safetensors"))


def test_a_program_is_sent_as_it_is_and_its_description_is_read_by_attribute() -> None:
    request, fields = call(API.put_program("j", b"\x80program"), {"inputs": [{"shape": [1, 64]}]})
    assert (request.body, request.headers) == (b"\x80program", {"Content-Type": "application/octet-stream"})
    assert fields.inputs[0].shape == [1, 64]


def test_a_data_set_is_a_safetensors_file() -> None:
    data = {"inputs": np.zeros((3, 2), np.float32), "targets": np.arange(3)}
    request, fields = call(API.put_dataset("j", "test", data), {"rows": 3})
    assert {name: array.tolist() for name, array in safetensors.numpy.load(request.body).items()} == {
        "inputs": [[0.0, 0.0]] * 3,
        "targets": [0, 1, 2],
    }
    assert fields.rows == 3


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ({}, {"metrics": {}, "hyperparameters": {}}),
        ({"participants": ("a", "b")}, {"metrics": {}, "hyperparameters": {}, "participants": ["a", "b"]}),
        ({"participants": []}, {"metrics": {}, "hyperparameters": {}, "participants": []}),
        ({"metrics": {"n": np.float32(0.5)}}, {"metrics": {"n": 0.5}, "hyperparameters": {}}),
    ],
)
def test_a_commit_names_its_participants_only_if_they_are_given(
    arguments: dict[str, Any], body: dict[str, Any]
) -> None:
    request, record = call(API.commit("j", 3, **arguments), ROUND)
    assert request.json == body
    assert (record.number, record.base, [member.client for member in record.members]) == (3, 2, ["c1"])


def test_lists_become_values() -> None:
    _, rounds = call(API.rounds("j"), {"rounds": [{"round": 1, "committed": False, "clients": None, "base": None}]})
    assert rounds == [RoundInfo(round=1, committed=False)]
    answer = {"client": "c", "rounds": [1, 2], "objects": 4, "tombstone": "t"}
    _, erasure = call(API.erase_client("j", "c"), answer)
    assert erasure == Erasure("c", (1, 2), 4, "t"), "lists are frozen to tuples, as the fields promise"
    more = {"removed": {"updates": 2}, "remains": {"aggregates": [1]}}
    _, erasure = call(API.erase_client("j", "c"), {**answer, **more})
    assert (erasure.removed, erasure.remains) == ({"updates": 2}, {"aggregates": [1]})
    _, jobs = call(API.jobs(), {"jobs": [JOB]})
    assert jobs[0].open == (4, 5)


@pytest.mark.parametrize("artifact", ["a1", "/v1/jobs/j/artifacts/a1", {"href": "/v1/jobs/j/artifacts/a1", "bytes": 9}])
def test_an_artifact_is_fetched_by_id_path_or_link(artifact: Any) -> None:
    sent: list[Sent] = []
    body = Response(200, {}, bytearray(safetensors.numpy.save(ARRAYS)))
    arrays = converse(API.get_artifact("j", artifact), body, ok(JOB), sent=sent)
    assert [request.path for request in sent] == ["/v1/jobs/j/artifacts/a1", "/v1/jobs/j"]
    assert {name: array.tolist() for name, array in arrays.items()} == {n: a.tolist() for n, a in ARRAYS.items()}


def test_a_download_of_half_a_hash_is_checked_against_that_half() -> None:
    body = bytearray(b"model")
    half = Response(200, {}, body).sha256[:32]
    assert converse(API.download_raw("j", 1, "c"), Response(200, {"etag": f'"{half}"'}, body)) == body
    other = Response(200, {"etag": f'"{half[::-1]}"'}, body)
    with pytest.raises(Unavailable, match=f"arrived as {Response(200, {}, body).sha256}, but the server names"):
        converse(API.download_raw("j", 1, "c"), other)


def test_a_download_that_is_not_the_one_it_has_to_be_is_refused() -> None:
    body = bytearray(b"model")
    sha256 = Response(200, {}, body).sha256
    assert converse(API.download_raw("j", 1, "c", sha256=sha256), Response(200, {}, body)) == body
    with pytest.raises(DigestMismatch, match=f"has the SHA-256 {sha256}, and not {sha256[::-1]}"):
        converse(API.download_raw("j", 1, "c", sha256=sha256[::-1]), Response(200, {}, body))


def test_an_aggregate_is_made_by_the_workloads_parameters_with_names_as_they_are_stored() -> None:
    make = API.make_aggregate("j", 3, method="fedavg", clients=["Hospital A"], factors={"Hospital A": 0.5})
    request, answer = call(make, ANSWER)
    name = "x--Hospital_20A"
    assert request.json == {"method": "fedavg", "clients": [name], "factors": {name: 0.5}}
    assert answer.workload == ANSWER["workload"]


def test_a_run_sends_its_parameters_and_a_run_anew_refuses_kept_answers() -> None:
    request, answer = call(API.run("j", "cosine-similarity", round=3, clients=["c1"]), ANSWER)
    assert request.json == {"round": 3, "clients": ["c1"]}
    assert "Cache-Control" not in request.headers
    assert isinstance(answer, Answer)
    anew, _ = call(API.run_anew("j", "cosine-similarity", round=3), ANSWER)
    assert anew.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}])
def test_numbers_that_json_lacks_are_refused_before_anything_is_sent(value: Any) -> None:
    with pytest.raises(InvalidParameters, match="only finite numbers can be sent as JSON"):
        next(API.run("j", "metrics", limit=value))


def test_a_submission_that_is_answered_at_once_has_succeeded() -> None:
    request, operation = call(API.submit("j", "metrics"), ANSWER)
    assert request.headers["Prefer"] == "respond-async"
    assert operation == Operation("", "succeeded", Answer.from_json(ANSWER))
    assert converse_without_requests(API.wait(operation)) == Answer.from_json(ANSWER)


def converse_without_requests(exchange: Exchange[Any]) -> Any:
    with pytest.raises(StopIteration) as end:
        next(exchange)
    return end.value.value


def test_waiting_asks_after_doubled_pauses_of_at_most_a_second() -> None:
    sent: list[Sent] = []
    still = [ok(OPERATION)] * 8
    done = ok({**OPERATION, "state": "succeeded", "result": ANSWER})
    answer = converse(API.wait("op1"), *still, done, sent=sent)
    assert answer.result.clients == ["c1"]
    assert [request.delay_s for request in sent] == pytest.approx([0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("request_s", "delays"),
    [(0.0, [0.05, 0.1, 0.15]), (0.1, [0.05, 0.1]), (1.0, [0.05])],
    ids=["at once", "soon", "slow"],
)
def test_waiting_gives_up_after_its_timeout_and_says_that_the_operation_goes_on(
    request_s: float, delays: list[float]
) -> None:
    clock = Clock()
    exchange = Api(replace(retry_for(0), clock=clock)).wait(Operation("op1", "running"), timeout=0.3)
    sent: list[float] = []
    with pytest.raises(Unavailable, match=r"operation op1 still runs after 0.3 s; wait again"):
        poll_without_end(exchange, clock, request_s, sent)
    assert sent == pytest.approx(delays)


def poll_without_end(exchange: Exchange[Any], clock: Clock, request_s: float, sent: list[float]) -> None:
    """Answer each request after `request_s` that the operation still runs; append its pause to `sent`."""
    request = next(exchange)
    while True:
        sent.append(request.delay_s)
        clock.sleep(request.delay_s + request_s)
        request = exchange.send(ok(OPERATION))


def test_the_first_request_counts_for_the_timeout() -> None:
    clock = Clock()
    exchange = Api(replace(retry_for(0), clock=clock)).wait("op1", timeout=5.0)
    next(exchange)
    clock.sleep(5.0)
    with pytest.raises(Unavailable, match="still runs after 5 s"):
        exchange.send(ok(OPERATION))


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        ({"code": "not-found", "status": 404, "detail": "round 9 does not exist"}, NotFound, "round 9 does not exist"),
        (None, Exception, "operation op1 failed"),
    ],
)
def test_a_failed_operation_raises_its_problem(problem: Any, kind: type[Exception], message: str) -> None:
    failed = ok({**OPERATION, "state": "failed", "problem": problem})
    with pytest.raises(kind, match=message):
        converse(API.wait("op1"), failed)


def test_a_folder_is_no_file_to_send(tmp_path: Path) -> None:
    folder = tmp_path / "c1.safetensors"
    folder.mkdir()
    with pytest.raises(InvalidParameters, match=r"c1.safetensors' cannot be read: Is a directory"):
        next(API.put_update("j", 3, "c1", folder))


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"<html>", "not JSON"), (b"[" * 100_000, "not JSON"), (b"[1]", "no JSON object"), (b"null", "no JSON object")],
)
def test_an_answer_of_another_server_is_told_by_its_form(body: bytes, message: str) -> None:
    page = Response(200, {}, bytearray(body))
    for exchange in (API.jobs(), API.job("j"), API.run("j", "metrics")):
        with pytest.raises(Unavailable, match=rf"the server's answer is {message}.*; is this FLStore's URL"):
            converse(exchange, page)


def test_tables_are_read_by_attribute() -> None:
    _, table = call(API.placement(), {"version": 3, "jobs": {"j": {"slices": 2}}})
    assert (table.version, table.jobs.j.slices) == (3, 2)
    _, cache = call(API.cache(), {"shards": [{"shard": "shard-0"}]})
    assert [shard.shard for shard in cache.shards] == ["shard-0"]
    assert json.loads(json.dumps(cache.raw)) == {"shards": [{"shard": "shard-0"}]}


def test_an_operation_is_given_up_by_its_name_or_by_itself() -> None:
    running = {"id": "op1", "state": "running", "progress": 0.5}
    request, operation = call(API.cancel("op1"), running)
    assert (request.path, operation.state, operation.progress) == ("/v1/operations/op1", "running", 0.5)
    request, operation = call(API.cancel(operation), {"id": "op1", "state": "cancelled"})
    assert (request.path, operation.state, operation.progress) == ("/v1/operations/op1", "cancelled", None)


def test_overviews_are_read_by_attribute() -> None:
    _, metrics = call(API.metrics("j"), {"rounds": [3], "metrics": {"loss": {"p50": [0.5]}}})
    assert (metrics.rounds, metrics.metrics.loss.p50) == ([3], [0.5])


@pytest.mark.parametrize("allow_empty", [True, False])
def test_an_empty_round_is_committed_if_the_caller_says_so(allow_empty: bool) -> None:
    sent, _ = call(API.commit("j", 3, allow_empty=allow_empty), ROUND)
    assert sent.json.get("allow_empty", False) is allow_empty


@pytest.mark.parametrize(("base", "sent"), [(2, "2"), ("none", "none"), ("ab" * 32, "ab" * 32), (None, None)])
def test_a_commit_names_the_base_if_the_caller_does(base: int | str | None, sent: str | None) -> None:
    assert call(API.commit("j", 3, base=base), ROUND)[0].json.get("base") == sent


def test_a_base_may_be_a_whole_number_of_another_type() -> None:
    number: Any = np.int64(2)
    assert call(API.commit("j", 3, base=number), ROUND)[0].json["base"] == "2"


@pytest.mark.parametrize("base", [True, 1.5, b"none", [2]])
def test_what_names_no_base_is_not_sent(base: Any) -> None:
    with pytest.raises(InvalidParameters, match="pass the number of a round, the SHA-256 of an aggregate, or 'none'"):
        call(API.put_update("j", 3, "c", ARRAYS, base=base), RECEIPT)
    with pytest.raises(InvalidParameters, match="pass the number of a round"):
        call(API.commit("j", 3, base=base), ROUND)


def test_data_sets_are_listed() -> None:
    _, rows = call(API.datasets("j"), {"datasets": [{"dataset": "test", "sha256": "00", "nbytes": 3}]})
    assert [(row.dataset, row.nbytes) for row in rows] == [("test", 3)]


def ranged(body: bytes, **headers: str) -> Response:
    """Return bytes 2 to 5 of a file of 6 bytes, or so the headers say."""
    places = f"bytes 2-{1 + len(body)}/6"
    known = {"etag": f'"{"ab" * 32}"', "content-range": places, "content-type": "application/octet-stream"}
    return Response(206, {**known, **{name.replace("_", "-"): text for name, text in headers.items()}}, bytearray(body))


def test_a_range_comes_with_the_hash_and_length_of_its_file() -> None:
    sent: list[Sent] = []
    piece = converse(API.download_range("/v1/jobs/j/model", 2, 5), ranged(b"cde"), sent=sent)
    assert (bytes(piece.body), piece.sha256, piece.nbytes) == (b"cde", "ab" * 32, 6)
    assert sent[0].headers["Range"] == "bytes=2-4"
    assert converse(API.download_range("/v1/jobs/j/model", 2, 9), ranged(b"cdef")).body == b"cdef"


@pytest.mark.parametrize(
    "response",
    [
        ranged(b"cd"),
        ranged(b"cdef"),
        ranged(b"cde", etag='"v2"'),
        ranged(b"cde", content_range="bytes 2-4/*"),
        ranged(b"cde", content_range="bytes 3-5/6"),
    ],
)
def test_what_is_not_the_range_that_was_asked_for_may_be_asked_for_again(response: Response) -> None:
    with pytest.raises(Unavailable, match="/v1/jobs/j/model came with"):
        converse(API.download_range("/v1/jobs/j/model", 2, 5), response)


def test_a_part_of_a_file_is_sent_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"..content..")
    part = FileBody(tmp_path / "x", 7, 2)
    request, _ = call(API.put_dataset("j", "d", part), {})
    assert request.body == b"content"
    request, _ = call(API.put_program("j", part), {})
    assert request.body == b"content"
    receipt = {**RECEIPT, "sha256": hashlib.sha256(b"content").hexdigest()}
    request, _ = call(API.put_update("j", 1, "c", part, metrics={"a": 1}), receipt)
    assert (request.body, request.headers["X-FLStore-Metrics"]) == (b"content", '{"a": 1}')
