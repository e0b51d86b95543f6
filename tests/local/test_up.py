"""`flstore up` and what is under it, with real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.local.running import running
from tests.waiting import alive, children_of, eventually

FLSTORE = [sys.executable, "-c", "from flstore_core.cli import main; main()"]
JOB = {"schema": [{"name": "weight", "dtype": "F32", "shape": [8]}]}


@contextmanager
def up(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run `flstore up --json` in `folder`; yield the process and the facts it printed once it answered."""
    command = [*FLSTORE, "up", "--json", "--no-console", "--port", "0", "--log", "log", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def wake(url: str) -> dict[str, str]:
    """Wake every shard and return the addresses."""
    shards = httpx.get(f"{url}/v1/placement").json()["shards"]
    for shard in shards.values():
        assert httpx.get(f"{shard['url']}/healthz", timeout=20.0).is_success
    return {name: shard["url"] for name, shard in shards.items()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_no_process_is_left(tmp_path: Path, number: signal.Signals) -> None:
    with up(tmp_path) as (process, facts):
        wake(facts["url"])
        family = children_of(process.pid)
        assert len(family) == 4  # gateway, placement, two shards
        process.send_signal(number)
        process.wait(20.0)
        eventually(lambda: not any(alive(pid) for pid in family))
    assert process.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    assert (tmp_path / ".flstore" / "store").is_dir()


def test_a_job_outlives_a_restart(tmp_path: Path) -> None:
    with up(tmp_path, "--shards", "3") as (process, facts):
        assert httpx.put(f"{facts['url']}/v1/jobs/digits", json=JOB).status_code == 201
        before = httpx.get(f"{facts['url']}/v1/placement").json()
        process.terminate()
        process.wait(20.0)
    with up(tmp_path, "--shards", "3") as (_, facts):
        after = httpx.get(f"{facts['url']}/v1/placement").json()
    assert after["jobs"] == before["jobs"]
    assert set(after["jobs"]) == {"digits"}
    assert after["version"] > before["version"]


def test_a_port_in_use_is_said_clearly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*FLSTORE, "up", "--port", str(port)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20.0)
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("part", ["gateway", "placement"])
def test_a_part_that_dies_is_started_again_under_its_address(tmp_path: Path, part: str) -> None:
    others = set(children_of(os.getpid()))
    with running(str(tmp_path / "store"), log=tmp_path / "log") as (url, _):
        assert httpx.put(f"{url}/v1/jobs/digits", json=JOB).status_code == 201
        killed = pid_of(part, others)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: not alive(killed))
        answer = httpx.put(f"{url}/v1/jobs/second", json=JOB, timeout=20.0)
        assert answer.status_code == 201
        assert pid_of(part, others) != killed
    assert not set(children_of(os.getpid())) - others


def pid_of(part: str, others: set[int]) -> int:
    """Return the process that runs `part` among our children that are not `others`."""

    def is_part(pid: int) -> bool:
        return f"services.{part}" in Path(f"/proc/{pid}/cmdline").read_text()

    return next(pid for pid in children_of(os.getpid()) if pid not in others and is_part(pid))
