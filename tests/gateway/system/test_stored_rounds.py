"""Rounds through a gateway: in, closed, out again."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from flstore_core import layout
from flstore_core.statistics import RoundStatistics
from tests.running.homes import home_of
from tests.running.jobs import PARAMETERS, JobOverHttp, arrays, body, create, flat, problem
from tests.running.processes import System


def stored(running: System, job: JobOverHttp) -> list[str]:
    """Return the names of a job's objects below its rounds."""
    prefix = layout.rounds_prefix(home_of(running, job))
    return sorted(info.key.removeprefix(prefix) for info in running.store.list(prefix))


def statistics(running: System, job: JobOverHttp, number: int) -> RoundStatistics:
    return RoundStatistics.from_bytes(running.store.get(layout.statistics(home_of(running, job), number)))


def test_an_update_comes_back_as_it_was_sent(job: JobOverHttp) -> None:
    content = body(1, {"num_examples": 7, "loss": 0.5})
    answer = job.put(3, "client-a", content, **{"X-FLStore-Metrics": '{"loss": 0.25}'})
    assert answer.status_code == 201
    assert answer.json() == {
        "job": job.name,
        "round": 3,
        "client": "client-a",
        "sha256": hashlib.sha256(content).hexdigest(),
        "nbytes": len(content),
        "parameters": PARAMETERS,
        "created": True,
        "rewritten": False,
        "received_sha256": hashlib.sha256(content).hexdigest(),
    }
    assert job.http.get(job.client_url(3, "client-a")).content == content
    (member,) = job.http.get(f"{job.url}/rounds/3").json()["members"]
    assert member["metrics"] == {"num_examples": 7, "loss": 0.25}


def test_a_committed_round_is_what_was_in_it(running: System, job: JobOverHttp) -> None:
    job.put_aggregate(0, body(100))
    job.commit(0)
    job.fill(1, 3)
    job.put_aggregate(1, body(101))
    record = job.commit(1, metrics={"accuracy": 0.5}, hyperparameters={"rate": 0.1}, participants=["c0", "c2"]).json()
    assert (record["round"], record["base"]) == (1, 0)
    assert [member["client"] for member in record["members"]] == ["c0", "c1", "c2"]
    assert record["aggregate"]["sha256"] == hashlib.sha256(body(101)).hexdigest()
    assert record["metrics"] == {"accuracy": 0.5}
    assert record["hyperparameters"] == {"rate": 0.1}
    assert record["committed_at"] > 0
    assert job.http.get(f"{job.url}/rounds/1").json() == record
    stored = statistics(running, job, 1)
    deltas = np.array([flat(seed) - flat(100) for seed in (1, 2, 3, 101)])
    assert stored.members == ("c0", "c1", "c2", "aggregate")
    expected = deltas @ deltas.T
    scale = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    np.testing.assert_array_less(np.abs(stored.gram - expected) / scale, 1e-6)
    job_record = job.http.get(job.url).json()
    assert (job_record["committed"], job_record["latest"], job_record["open"], job_record["clients"]) == (2, 1, [], 3)


def test_the_same_bytes_again_are_no_news_and_others_a_conflict(running: System, job: JobOverHttp) -> None:
    job.put(0, "c", body(1))
    before = stored(running, job)
    again = job.put(0, "c", body(1))
    assert (again.status_code, again.json()["created"]) == (200, False)
    document = problem(job.put(0, "c", body(2)), 409, "conflict")
    assert "'c'" in document["detail"]
    assert job.http.get(job.client_url(0, "c")).content == body(1)
    assert stored(running, job) == before


def test_a_committed_round_takes_nothing_new(running: System, job: JobOverHttp) -> None:
    job.fill(0, 2)
    job.commit(0)
    before = stored(running, job)
    problem(job.put(0, "late", body(9)), 409, "round-committed")
    problem(job.put_aggregate(0, body(9)), 409, "round-committed")
    problem(job.put(0, "c0", body(9)), 409, "conflict")
    assert job.put(0, "c0", body(1, {"num_examples": 10})).status_code == 200
    assert stored(running, job) == before


def test_committing_again_in_the_same_words_answers_alike(job: JobOverHttp) -> None:
    job.fill(0, 1)
    first = job.commit(0, metrics={"a": 1})
    assert job.commit(0, metrics={"a": 1}).json() == first.json()
    problem(job.commit(0, metrics={"a": 2}), 409, "conflict")
    problem(job.commit(0, metrics={"a": 1}, hyperparameters={"b": 1}), 409, "conflict")


def test_concurrent_commits_agree(job: JobOverHttp) -> None:
    job.fill(0, 3)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: job.commit(0), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.text for answer in answers}) == 1
    assert job.run("cosine-similarity", round=0).status_code == 200


def test_a_commit_waits_for_named_participants_and_leaves_nothing_behind(running: System, job: JobOverHttp) -> None:
    job.put(0, "alice", body(1))
    before = stored(running, job)
    document = problem(job.commit(0, participants=["alice", "alicia"]), 404, "not-found")
    assert document["nearest"] == ["alice"]
    assert stored(running, job) == before
    problem(job.commit(7, participants=["bob"]), 404, "not-found")
    assert stored(running, job) == before
    assert job.put(0, "alicia", body(2)).status_code == 201
    assert job.commit(0, participants=["alice", "alicia"]).status_code == 200


@pytest.mark.parametrize(
    "content",
    ['{"metrics": {"loss": NaN}}', '{"hyperparameters": {"rate": -Infinity}}', '{"metrics": {"a": "\\ud800"}}'],
)
def test_a_commit_that_json_cannot_say_changes_nothing(
    on_directory: System, local_job: JobOverHttp, content: str
) -> None:
    local_job.put(0, "c", body(1))
    before = stored(on_directory, local_job)
    answer = local_job.http.post(
        f"{local_job.url}/rounds/0/commit", content=content, headers={"content-type": "application/json"}
    )
    problem(answer, 422, "invalid-parameters")
    assert stored(on_directory, local_job) == before
    assert local_job.put(0, "d", body(2)).status_code == 201


def test_an_empty_round_can_be_committed(job: JobOverHttp) -> None:
    record = job.commit(0, metrics={"note": "nobody came"}).json()
    assert record["members"] == []
    document = problem(job.run("cosine-similarity", round=0), 422, "not-enough-data")
    assert "0 update(s)" in document["detail"]


def test_an_open_round_is_answered_as_it_stands(job: JobOverHttp) -> None:
    job.fill(5, 2)
    first = job.run("cosine-similarity", round=5).json()
    assert first["rounds"] == [5]
    job.put(5, "c9", body(9))
    second = job.run("cosine-similarity", round=5).json()
    assert "c9" in str(second["result"])
    assert "c9" not in str(first["result"])


def test_similarity_of_a_committed_round_is_that_of_numpy(job: JobOverHttp) -> None:
    job.put_aggregate(0, body(50))
    job.commit(0)
    job.fill(1, 3)
    job.commit(1)
    deltas = np.array([flat(seed) - flat(50) for seed in (1, 2, 3)])
    norms = np.linalg.norm(deltas, axis=1)
    expected = deltas @ deltas.T / np.outer(norms, norms)
    answer = job.run("cosine-similarity", round=1)
    assert answer.json()["execution"]["where"] == "gateway"
    np.testing.assert_allclose(answer.json()["result"]["matrix"], expected, atol=1e-6)


def test_an_aggregate_is_computed_next_to_the_data(running: System, job: JobOverHttp) -> None:
    job.fill(0, 3)
    job.commit(0)
    answer = job.run("aggregate", round=0)
    assert answer.status_code == 200, answer.text
    execution = answer.json()["execution"]
    assert execution["where"] == "shards"
    assert (execution["misses"], execution["bytes_fetched"]) == (0, 0)
    assert execution["hits"] >= 3 * execution["slices"]
    link = find(answer.json()["result"], "href")
    content = job.http.get(link).content
    assert hashlib.sha256(content).hexdigest() == find(answer.json()["result"], "sha256")
    loaded = load(content)
    weights = np.array([10, 11, 12]) / 33
    mean = sum(
        weight * arrays(seed)["dense.weight"].astype(float) for weight, seed in zip(weights, (1, 2, 3), strict=True)
    )
    np.testing.assert_allclose(loaded["dense.weight"], mean, atol=1e-6)
    assert loaded["half"].dtype == np.float16
    assert loaded["steps"].shape == ()


def test_server_timing_names_the_stages(job: JobOverHttp) -> None:
    job.fill(0, 2)
    job.commit(0)
    answer = job.run("cosine-similarity")
    stages = {entry.split(";")[0].strip() for entry in answer.headers["server-timing"].split(",")}
    assert stages == set(answer.json()["execution"]["stages_ms"])
    assert {"select", "records", "combine"} <= stages


def test_metrics_of_a_range_of_rounds_need_no_shard(job: JobOverHttp) -> None:
    for number in range(3):
        job.fill(number, 2)
        job.commit(number)
    answer = job.run("metrics", first=1, last=2).json()
    assert answer["rounds"] == [1, 2]
    assert answer["execution"]["shards"] == []


def test_rounds_are_listed_open_and_committed(job: JobOverHttp) -> None:
    job.fill(0, 1)
    job.commit(0)
    job.fill(2, 1)
    rows = job.http.get(f"{job.url}/rounds").json()["rounds"]
    assert [(row["round"], row["committed"]) for row in rows] == [(0, True), (2, False)]


def test_the_base_does_not_depend_on_which_round_came_first(job: JobOverHttp) -> None:
    job.put_aggregate(0, body(50))
    job.commit(0)
    job.fill(2, 2)
    job.put_aggregate(1, body(51))
    job.commit(1)
    assert job.commit(2).json()["base"] == 1


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_answers_do_not_depend_on_how_a_job_is_cut(running: System, slices: int) -> None:
    job = create(running.http, slices=slices)
    assert job.http.get(job.url).json()["placement"]["slices"] == slices
    job.fill(0, 3)
    job.commit(0)
    matrix = job.run("cosine-similarity", round=0).json()["result"]["matrix"]
    rows = np.array([flat(seed) for seed in (1, 2, 3)])
    norms = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(matrix, rows @ rows.T / np.outer(norms, norms), atol=1e-6)


def find(value: Any, name: str) -> Any:
    """Return the first field `name` anywhere in JSON values."""
    if isinstance(value, dict):
        if name in value:
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        return next((found for part in value if (found := find(part, name)) is not None), None)
    return None
