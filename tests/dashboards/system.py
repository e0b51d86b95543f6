"""FLStore as local processes with a little load on them, and a Prometheus that scrapes them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np

from flstore_core.client import FLStore
from flstore_core.errors import FLStoreError
from services.common.proof import VARIABLE, Keys, new_key
from services.placement.signing import Signed
from tests.servers import free_ports, wait_until

ROUNDS, CLIENTS = 6, 4
SHAPE = (256, 256)
KEY = new_key()
KEYS = Keys.parse(KEY)
CACHE_BYTES = 2 << 20
"""Eight updates of 256 KiB: less than the rounds bring, so that some are evicted."""
SCRAPE = "200ms"


@dataclass(frozen=True)
class Local:
    """Where the parts answer."""

    gateway: str
    placement: str

    def shards(self) -> list[str]:
        """Return the addresses of shards that are awake; scraping one at zero would wake it."""
        told = httpx.get(f"{self.placement}/v1/shards", auth=Signed(KEYS), timeout=10).json()
        return [shard["url"] for shard in told if shard["state"] == "awake"]


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    port: int

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return the series of an instant query; raise `ValueError` with Prometheus' words when it does not parse."""
        told = self._get("/api/v1/query?" + urlencode({"query": promql}))
        if told["status"] != "success":
            raise ValueError(f"{promql}: {told['error']}")
        result = told["data"]["result"]
        return result if told["data"]["resultType"] == "vector" else [result]

    def ready(self) -> bool:
        return _answers(f"http://127.0.0.1:{self.port}/-/ready")

    def _get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=10).json()
        return answer


@contextmanager
def local_system(folder: Path) -> Iterator[Local]:
    """Run gateway, controller and shards over a store in `folder`."""
    gateway, placement = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    shared = {"FLSTORE_STORE": str(folder / "store"), "FLSTORE_PLACEMENT_URL": placement, VARIABLE: KEY}
    shards = {"FLSTORE_SHARDS": "2", "FLSTORE_CACHE_BYTES": str(CACHE_BYTES), "FLSTORE_IDLE_SECONDS": "0"}
    with ExitStack() as stack, (folder / "log").open("wb") as log:
        for module, url in (("services.placement", placement), ("services.gateway", gateway)):
            env = {**os.environ, **shared, **shards, "FLSTORE_PORT": url.rpartition(":")[2]}
            stack.enter_context(_process([sys.executable, "-m", module], env, log.fileno()))
        wait_until(lambda: _answers(f"{gateway}/readyz"), "the gateway being ready")
        yield Local(gateway, placement)


def load(system: Local, seed: int) -> None:
    """Ingest rounds, ask every kind of question twice, and make one mistake of each kind."""
    rng = np.random.default_rng(seed)
    job = f"dashboards-{seed}"
    with FLStore(system.gateway) as store:
        store.create_job(job, like={"w": np.zeros(SHAPE, np.float32)})
        for number in range(1, ROUNDS + 1):
            for client in range(CLIENTS):
                store.put_update(job, number, f"client-{client}", {"w": rng.normal(size=SHAPE).astype(np.float32)})
            store.commit(job, number)
            store.run_anew(job, "cosine-similarity", round=number)
            store.run_anew(job, "aggregate", round=number, method="median")
        for number in (1, 2, ROUNDS):
            store.run_anew(job, "aggregate", round=number, method="median")
        _fail(store, job)


def _fail(store: FLStore, job: str) -> None:
    for wrong in (lambda: store.run(job, "cosine-similarity", round=999), lambda: store.job("no-such-job")):
        try:
            wrong()
        except FLStoreError:
            continue
        raise AssertionError("a question about nothing was answered")


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, Sequence[str]]) -> Iterator[Prometheus]:
    """Run Prometheus over `targets`: component → addresses."""
    [port] = free_ports(1)
    (folder / "prometheus.yml").write_text(json.dumps(_configuration(targets)))
    command = [
        find("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    server = Prometheus(port)
    with (folder / "prometheus.log").open("wb") as log, _process(command, dict(os.environ), log.fileno()):
        wait_until(server.ready, "Prometheus being ready")
        yield server


def find(binary: str) -> str:
    """Return the path of a program of the Debian package `prometheus`."""
    found = shutil.which(binary)
    if found is None:
        raise FileNotFoundError(f"{binary} is missing; apt-get install prometheus")
    return found


def _configuration(targets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    static = [
        {"targets": [url.removeprefix("http://") for url in urls], "labels": {"component": component}}
        for component, urls in targets.items()
    ]
    return {
        "global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE},
        "scrape_configs": [{"job_name": "flstore", "static_configs": static}],
    }


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


@contextmanager
def _process(command: list[str], env: Mapping[str, str], log: int) -> Iterator[None]:
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
