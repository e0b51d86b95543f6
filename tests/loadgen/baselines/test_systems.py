"""Both baselines through FLStore's own client, against FLStore itself."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from flstore_core.client import FLStore
from flstore_core.errors import Conflict, NotFound, RoundCommitted, SchemaMismatch
from loadgen.demo.agreement import differences
from loadgen.systems.deployments import Deployment, System, started
from loadgen.systems.seaweedfs import wait_until

pytestmark = pytest.mark.programs("redis-server")

CLIENTS = 6
QUESTIONS: dict[str, dict[str, Any]] = {
    "cosine-similarity": {"round": 2},
    "malicious-filter": {"round": 1},
    "clustering": {"round": 2, "clusters": 2},
    "reputation": {"client": "client-3"},
    "metrics": {},
    "provenance": {"round": 2, "last": 2},
    "schedule-performance": {"count": 3},
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    folder = tmp_path_factory.mktemp("systems")
    return Deployment(str(folder / "store"), cache_size="16MiB", log=folder / "log")


@pytest.fixture(scope="module", params=[System.OBJSTORE, System.CACHE])
def baseline(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[FLStore]:
    with started(request.param, deployment) as url, FLStore(url) as client:
        _ingest(client)
        yield client


@pytest.fixture(scope="module")
def flstore(deployment: Deployment) -> Iterator[FLStore]:
    with started(System.FLSTORE, deployment) as url, FLStore(url) as client:
        _ingest(client)
        yield client


@pytest.mark.parametrize("workload", QUESTIONS)
def test_answers_are_those_of_flstore(flstore: FLStore, baseline: FLStore, workload: str) -> None:
    ours = flstore.run("j", workload, **QUESTIONS[workload]).result.raw
    theirs = baseline.run("j", workload, **QUESTIONS[workload]).result.raw
    assert list(differences(ours, theirs, _no_model, _no_model)) == []


def test_reading_is_counted_and_priced_by_the_machines_time(baseline: FLStore) -> None:
    execution = baseline.run("j", "cosine-similarity", round=2).execution
    assert execution.hits + execution.misses == CLIENTS + 2
    assert execution.cost.dollars >= execution.total_ms / 3.6e6 * 0.922


def test_what_is_wrong_is_refused_as_flstore_refuses_it(baseline: FLStore) -> None:
    model = _model(1)
    with pytest.raises(SchemaMismatch):
        baseline.put_update("j", 7, "client-0", {"other": model["w"]})
    with pytest.raises(RoundCommitted):
        baseline.put_update("j", 2, "late", model)
    with pytest.raises(NotFound):
        baseline.run("nobody", "cosine-similarity", round=1)
    with pytest.raises(Conflict):
        baseline.create_job("j", like={"w": np.zeros(3, np.float32)})


def test_the_cache_serves_what_was_stored_from_memory(deployment: Deployment) -> None:
    with started(System.CACHE, deployment) as url, FLStore(url) as client:
        client.create_job("k", like=_model(0))
        client.put_aggregate("k", 0, _model(0))
        client.commit("k", 0)
        for index in range(3):
            client.put_update("k", 1, f"client-{index}", _model(index))
        client.commit("k", 1)
        execution = client.run("k", "cosine-similarity", round=1).execution
        assert (execution.hits, execution.misses) == (4, 0)


def test_a_restarted_baseline_knows_its_rounds_and_a_cold_cache_fills_on_demand(deployment: Deployment) -> None:
    with started(System.CACHE, deployment) as url, FLStore(url) as client:
        first = client.run("j", "cosine-similarity", round=2).execution
        again = client.run("j", "cosine-similarity", round=2).execution
    assert (first.hits, first.misses) == (0, CLIENTS + 2)
    assert (again.hits, again.misses) == (CLIENTS + 2, 0)


def test_no_redis_is_left_behind_when_its_baseline_is_killed() -> None:
    code = "import sys; from loadgen.baselines.redis import redis_server\nwith redis_server(2**20) as (_, port):\n"
    code += "    print(port, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        assert _listens(port)
        parent.kill()
    wait_until(lambda: not _listens(port), "the end of redis-server")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ingest(client: FLStore) -> None:
    client.create_job("j", like=_model(0))
    client.put_aggregate("j", 0, _model(0))
    client.commit("j", 0)
    for number in (1, 2):
        for index in range(CLIENTS):
            metrics = {"num_examples": 10 + index, "loss": 0.5 / number}
            client.put_update("j", number, f"client-{index}", _model(100 * number + index), metrics=metrics)
        client.put_aggregate("j", number, _model(100 * number))
        client.commit("j", number)


def _model(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"w": rng.standard_normal((50, 20)).astype(np.float32), "b": rng.standard_normal(20).astype(np.float32)}


def _no_model(link: Any) -> Any:
    raise AssertionError(f"no model was expected, and {link} was linked")
