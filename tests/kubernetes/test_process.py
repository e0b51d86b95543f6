"""The controller as it runs in a pod: a process of its own, on real time, told to leave by SIGTERM."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from flstore_core import layout
from flstore_core.records import to_bytes
from flstore_core.storage.directory import DirectoryStore
from services.placement.kube.resources import LEASES
from tests.kubernetes.cluster import OWNER, Cluster, cluster
from tests.kubernetes.world import job
from tests.servers import free_ports

ROOT = Path(__file__).parents[2]
START_S = 60.0


@asynccontextmanager
async def controller(place: Cluster, folder: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Run `python -m services.placement` against a cluster; yield its URL."""
    port = free_ports(1)[0]
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(_kubeconfig(f"{place.url}/as/process")))
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KUBECONFIG": str(kubeconfig),
        "FLSTORE_SERVICE_KEYS": "none",
        "FLSTORE_RUNTIME": "knative",
        "FLSTORE_STORE": str(folder / "store"),
        "FLSTORE_PORT": str(port),
        "FLSTORE_NAMESPACE": place.namespace,
        "FLSTORE_SHARD_IMAGE": "flstore:test",
        "FLSTORE_OWNER_NAME": OWNER,
        "FLSTORE_CACHE_BYTES": "64MiB",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.placement", env=env)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }


async def test_it_leads_places_and_leaves_at_once_with_a_farewell(tmp_path: Path) -> None:
    DirectoryStore(tmp_path / "store").put(layout.job(job("job").id), to_bytes(job("job").to_json()))
    async with cluster() as place, httpx.AsyncClient() as http, controller(place, tmp_path) as (url, process):
        await _ready(http, url, process)
        table = (await http.get(f"{url}/v1/placement")).json()
        assert table["jobs"]["job"]["owners"] == [["shard-0"]]
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10.0) == 0
        assert time.monotonic() - begun < 5.0
        lease = await place.hand.get(LEASES, "flstore-placement")
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"FLSTORE_RUNTIME": "docker"}, "use one of local, knative"),
        ({"KUBECONFIG": ""}, "run in a pod, or set KUBECONFIG"),
    ],
)
async def test_settings_that_cannot_work_end_it_with_a_word_of_advice(
    tmp_path: Path, change: dict[str, str], advice: str
) -> None:
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FLSTORE_SERVICE_KEYS": "none",
        "FLSTORE_RUNTIME": "knative",
        "FLSTORE_NAMESPACE": "test",
        "FLSTORE_SHARD_IMAGE": "flstore:test",
        "FLSTORE_STORE": str(tmp_path),
        **change,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.placement", env=env, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode != 0
    assert advice in errors.decode()


async def _ready(http: httpx.AsyncClient, url: str, process: asyncio.subprocess.Process) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.returncode is None:
        try:
            if (await http.get(f"{url}/readyz")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError("the controller is not ready")
