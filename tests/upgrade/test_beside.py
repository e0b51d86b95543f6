"""The previous release beside this version over one store, while clients use both: the upgrade, and the way back."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from safetensors.numpy import save

from flstore_core import layout
from flstore_core.ids import JobId
from flstore_core.storage import open_store
from tests.running.jobs import SCHEMA, JobOverHttp, body, create
from tests.servers import S3Server, wait_until
from tests.upgrade.deployment import Deployment
from tests.waiting import eventually

SETTINGS = {
    "FLSTORE_SHARDS": "2",
    "FLSTORE_CACHE_BYTES": "64MiB",
    "FLSTORE_IDLE_SECONDS": "60",
    "FLSTORE_REFRESH_SECONDS": "0.1",
    "FLSTORE_PREDICTORS": "0",
    "FLSTORE_ADMIT_UNSIGNED": "true",
}

JOB = {
    "schema": SCHEMA,
    "statistics": "exact",
    "clients_per_round": 10,
    "hot_rounds": 2,
    "replicas": 1,
    "slices": None,
    "created_at": 1.0,
}
"""A job's record as the previous release writes it, without the name."""


@pytest.fixture(params=["directory", "s3"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path, release: Mapping[str, str]) -> Deployment:
    """A deployment over each kind of store in turn."""
    if request.param == "directory":
        return Deployment(str(tmp_path / "store"), tmp_path, SETTINGS, release)
    server: S3Server = request.getfixturevalue("s3_server")
    return Deployment(f"s3://services/{uuid4().hex}", tmp_path, {**SETTINGS, **server.env}, release)


@pytest.mark.timeout(300)  # many processes start, one after the other
def test_a_rolling_upgrade_and_the_way_back_lose_nothing(deployment: Deployment) -> None:
    with ExitStack() as gateways, ExitStack() as first_controller, ThreadPoolExecutor(1) as side:
        first_controller.enter_context(deployment.controller(old=True))
        both = [gateways.enter_context(deployment.gateway(old=is_old)) for is_old in (True, False)]
        create(both[0].http, both[0].name, slices=2)
        for number in (0, 1):
            deployment.fill(number, both)
            deployment.commit(number, both)
        deployment.verify(both)
        filling = side.submit(deployment.fill, 2, both)  # while controller and shards are replaced
        first_controller.close()
        with deployment.controller(old=False):
            filling.result()
            deployment.commit(2, both)
            deployment.fill(3, both)
            deployment.commit(3, both)
            deployment.verify(both)
            check_operations(both)
            check_files(*both)
            check_later_job(*both)
            assert both[1].http.delete(f"{both[1].url}/clients/c3").status_code == 200
            wait_until(
                lambda: not any(deployment.tells(job, "c3") for job in both), "the erasure being noticed by both"
            )
            deployment.verify(both, without="c3")
            gateways.close()
    with deployment.controller(old=True), deployment.gateway(old=True) as old:
        deployment.verify([old], without="c3")
        deployment.fill(4, [old])
        deployment.commit(4, [old])
        assert old.run("cosine-similarity", round=4).status_code == 200


def test_without_the_setting_new_backends_refuse_what_the_previous_release_asks(
    tmp_path: Path, release: Mapping[str, str]
) -> None:
    settings = {**SETTINGS, "FLSTORE_ADMIT_UNSIGNED": "false"}
    deployment = Deployment(str(tmp_path / "store"), tmp_path, settings, release)
    with deployment.controller(old=False), deployment.gateway(old=True) as old, deployment.gateway(old=False) as new:
        with closing(open_store(deployment.store, {})) as store:  # that release would have the controller place the job
            store.put(layout.job(JobId(old.name)), json.dumps({**JOB, "job": old.name}).encode())
        old.fill(0, 2)
        assert old.http.get(old.client_url(0, "c0")).content == body(1, {"num_examples": 10})
        refused = old.run("cosine-similarity", round=0)
        assert (refused.status_code, "X-FLStore-Proof" in refused.json()["detail"]) == (403, True)
        assert new.run("cosine-similarity", round=0).status_code == 200


def check_operations(both: list[JobOverHttp]) -> None:
    """Have each gateway do work, and ask the other one how it goes."""
    for starter, reader in (both, both[::-1]):
        headers = {"Prefer": "respond-async"}
        started = starter.http.post(f"{starter.url}/workloads/clustering", json={"round": 1}, headers=headers)
        assert started.status_code == 202, started.text
        location = started.headers["location"]
        eventually(lambda: reader.http.get(location).json()["state"] == "succeeded")  # noqa: B023


def check_files(old: JobOverHttp, new: JobOverHttp) -> None:
    """Each version reads the data sets of the previous release; those of this one are not there for the other."""
    for job, name in ((old, "of-old"), (new, "of-new")):
        assert job.http.put(f"{job.url}/datasets/{name}", content=dataset(name)).status_code == 201
    for name in ("of-old", "of-new"):
        assert new.http.get(f"{new.url}/datasets/{name}").content == dataset(name)
    assert old.http.get(f"{old.url}/datasets/of-old").content == dataset("of-old")
    assert old.http.get(f"{old.url}/datasets/of-new").status_code == 404
    assert old.http.get(f"{old.url}/datasets").status_code == 200


def check_later_job(old: JobOverHttp, new: JobOverHttp) -> None:
    """A job that this version has made is complete here; the previous release lists it and takes nothing into it."""
    here = create(new.http, "late", slices=2)
    there = JobOverHttp(old.http, "late")
    here.fill(0, 2)
    problem = there.put(0, "c2", body(3)).json()
    assert (problem["status"], problem["missing"]) == (422, ["needs-a-later-version-of-FLStore"])
    assert here.commit(0).status_code == 200
    assert here.run("cosine-similarity", round=0).json()["result"]["clients"] == ["c0", "c1"]
    assert "late" in {row["job"] for row in old.http.get("/v1/jobs").json()["jobs"]}
    assert there.http.get(f"{there.url}/rounds").json() == {"rounds": []}


def dataset(name: str) -> bytes:
    return save({"inputs": np.full((2, 3), len(name), np.float32)})
