"""FLStore's services as real processes on free loopback ports, each to be started, killed and looked at by itself."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flstore_core.storage import ObjectStore, open_store
from services.common.proof import VARIABLE, Keys, new_key
from services.placement.signing import Signed
from tests.servers import free_ports, wait_until

KEY = new_key()
"""Of all services that these tests start."""
KEYS = Keys.parse(KEY)


@dataclass(frozen=True)
class Service:
    """One running process of a service."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    env: Mapping[str, str]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def peak_rss(self) -> int:
        """Largest resident set so far, in bytes."""
        return self._status("VmHWM")

    @property
    def rss(self) -> int:
        """Resident set now, in bytes."""
        return self._status("VmRSS")

    def _status(self, field: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


@dataclass(frozen=True)
class System:
    """A controller with its shards, and one gateway."""

    gateway: Service
    placement: Service
    store_url: str
    store_env: Mapping[str, str]
    http: httpx.Client
    """Talks to the gateway."""
    store: ObjectStore
    """The same store, opened by the test itself."""
    folder: Path

    def shards(self) -> list[dict[str, Any]]:
        """Return the controller's view of the shards."""
        found: list[dict[str, Any]] = httpx.get(f"{self.placement.url}/v1/shards", auth=Signed(KEYS)).json()
        return found

    def shard_logs(self) -> str:
        """Return what controller and shards have logged."""
        return self.placement.log.read_text()


@contextmanager
def service(module: str, env: Mapping[str, str], log: Path, port: int | None = None) -> Iterator[Service]:
    """Run a service until the block ends; its process may be gone by then."""
    port = port or free_ports(1)[0]
    whole = {**os.environ, VARIABLE: KEY, **env, "FLSTORE_PORT": str(port), "FLSTORE_LOG_LEVEL": "DEBUG"}
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-m", module], env=whole, stdin=subprocess.DEVNULL, stderr=out)
    running = Service(f"http://127.0.0.1:{port}", process, log, whole)
    try:
        wait_until(lambda: is_ready(running), f"{module} answering (see {log})", 90.0)
        yield running
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()


def is_ready(running: Service) -> bool:
    if running.process.poll() is not None:
        raise RuntimeError(f"ended with {running.process.returncode}: {running.log.read_text()[-2000:]}")
    try:
        return httpx.get(f"{running.url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def gateway(placement: Service, store: str, log: Path, env: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Run one more gateway over a store and controller."""
    settings = {"FLSTORE_STORE": store, "FLSTORE_PLACEMENT_URL": placement.url, **(env or {})}
    with service("services.gateway", settings, log) as running:
        yield running


@contextmanager
def system(store: str, folder: Path, env: Mapping[str, str], settings: Mapping[str, str]) -> Iterator[System]:
    """Run a whole FLStore; `env` has the store's credentials, `settings` is for all services."""
    base = {**env, **settings, "FLSTORE_STORE": store}
    with ExitStack() as stack:
        placed = stack.enter_context(service("services.placement", base, folder / "placement.log"))
        front = stack.enter_context(gateway(placed, store, folder / "gateway.log", base))
        http = stack.enter_context(httpx.Client(base_url=front.url, timeout=60.0))
        opened = stack.enter_context(closing(open_store(store, {**os.environ, **env})))
        yield System(front, placed, store, env, http, opened, folder)
