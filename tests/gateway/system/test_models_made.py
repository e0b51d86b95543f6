"""Workloads that read weights and write models, over HTTP: what comes back, traced, and made again."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from tests.running.jobs import PARAMETERS, JobOverHttp, body, flat, problem

ROUND = 2
CLIENTS = 7


@pytest.fixture
def filled(local_job: JobOverHttp) -> JobOverHttp:
    """A job with an initial model and two rounds of seven clients."""
    local_job.put_aggregate(0, body(100))
    local_job.commit(0)
    for number, first in ((1, 1), (2, 21)):
        local_job.fill(number, CLIENTS, first)
        local_job.put_aggregate(number, body(100 + number))
        assert local_job.commit(number).status_code == 200
    return local_job


def result(job: JobOverHttp, workload: str, **params: Any) -> Any:
    answer = job.run(workload, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def model(job: JobOverHttp, link: Any) -> NDArray[np.float64]:
    """Return an artifact's floats in the order of `flat`."""
    tensors = load(job.http.get(link["href"]).content)
    return np.concatenate([tensors[name].ravel().astype(float) for name in ("dense.bias", "dense.weight", "half")])


@pytest.mark.parametrize("method", ["geometric-median", "krum", "multi-krum", "bulyan", "clipped-mean"])
def test_rules_that_withstand_bad_updates_answer_and_can_be_traced(filled: JobOverHttp, method: str) -> None:
    document = result(filled, "aggregate", round=ROUND, method=method)
    rows = np.array([flat(21 + client) for client in range(CLIENTS)])
    vector = model(filled, document["artifact"])
    assert (rows.min(axis=0) - 0.5 <= vector).all() or method == "clipped-mean"
    assert vector.shape == (PARAMETERS,)
    lineage = result(filled, "provenance", artifact=document["artifact"]["sha256"][:32], verify=True)
    assert (lineage["verified"], lineage["workload"], lineage["changed"]) == (True, "aggregate", [])
    assert [entry["client"] for entry in lineage["inputs"]] == document["clients"]


def test_noise_is_the_seeds_and_privacy_is_accounted(filled: JobOverHttp) -> None:
    asked = {"method": "clipped-mean", "clip": 1.0, "noise": 2.0}
    first, again, other = (result(filled, "aggregate", **asked, seed=seed) for seed in (1, 1, 2))
    assert first["artifact"] == again["artifact"] != other["artifact"]
    assert 0 < first["privacy"]["epsilon"] < 3
    problem(filled.run("aggregate", method="clipped-mean", noise=2.0), 422, "invalid-parameters")


def test_a_model_is_inspected(filled: JobOverHttp) -> None:
    document = result(filled, "inspect", round=ROUND, client="c3")
    row, base = flat(24), flat(101)
    assert document["norm"] == pytest.approx(np.linalg.norm(row), rel=1e-6)
    assert document["distance"] == pytest.approx(np.linalg.norm(row - base), rel=1e-6)
    assert (document["base"], document["others"]) == (1, ["steps"])
    problem(filled.run("inspect", round=ROUND, client="c33"), 404, "not-found")


def test_a_client_is_unlearned_from_every_round(filled: JobOverHttp) -> None:
    document = result(filled, "unlearn", client="c0", every=True)
    start, expected = flat(100), flat(100)
    for number, first in ((1, 1), (2, 21)):
        rows = np.array([flat(first + client) for client in range(1, CLIENTS)])
        expected = expected + np.average(rows - start, axis=0, weights=10 + np.arange(1, CLIENTS))
        start = flat(100 + number)
        np.testing.assert_allclose(model(filled, document["models"][number - 1]["artifact"]), expected, atol=5e-3)
    lineage = result(filled, "provenance", artifact=document["models"][0]["artifact"]["sha256"][:32], verify=True)
    assert (lineage["verified"], lineage["workload"]) == (True, "unlearn")


def test_every_group_of_clients_gets_a_model(filled: JobOverHttp) -> None:
    document = result(filled, "personalize", clusters=2, global_share=0.5)
    assert sorted(client for entry in document["models"] for client in entry["clients"]) == [f"c{n}" for n in range(7)]
    for index, entry in enumerate(document["models"]):
        rows = [(flat(21 + int(client[1:])), 10 + int(client[1:])) for client in entry["clients"]]
        own = np.average([row for row, _ in rows], axis=0, weights=[count for _, count in rows])
        np.testing.assert_allclose(
            model(filled, entry["artifact"]), (own + flat(102)) / 2, atol=5e-3, err_msg=str(index)
        )


def test_aggregates_that_fedavg_did_not_make_are_found_and_hashes_told(filled: JobOverHttp) -> None:
    document = result(filled, "provenance", last=3)
    assert [(entry["round"], entry["verified"]) for entry in document["generations"]] == [
        (2, None),
        (1, None),
        (0, None),
    ]
    assert all(len(entry["sha256"]) == 64 for entry in document["generations"][0]["updates"])
    assert result(filled, "provenance", verify=True)["verified"] is False
    problem(filled.run("provenance", artifact="0" * 32), 404, "not-found")
