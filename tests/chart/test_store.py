"""The bundled SeaweedFS, started with the chart's own words, takes what the store's client sends."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.storage import open_store
from manifests import chart
from tests.servers import _weed, free_ports, wait_until

CREDENTIALS = {"accessKey": "flstore", "secretKey": "flstore-secret"}
KEYS = {"FLSTORE_S3_ACCESS_KEY": CREDENTIALS["accessKey"], "FLSTORE_S3_SECRET_KEY": CREDENTIALS["secretKey"]}
PARTS = ("master", "volume", "filer")


def test_seaweedfs_runs_with_the_charts_arguments_and_credentials(tmp_path: Path) -> None:
    objects = chart.render({"objectStore": {"kind": "seaweedfs", **CREDENTIALS}})
    with _started(objects, tmp_path, _ports()) as url:
        assert not _writes(url, {**KEYS, "FLSTORE_S3_SECRET_KEY": "somebody-elses"})
        _only_reads(url, _secret(objects, "flstore-store-reader"))


def test_what_a_bundled_seaweedfs_has_acknowledged_is_there_when_its_pod_is_told_to_leave_and_starts_again(
    tmp_path: Path,
) -> None:
    objects, ports = chart.render({"objectStore": {"kind": "seaweedfs", **CREDENTIALS}}), _ports()
    bodies = {f"jobs/a/{size}": random.Random(size).randbytes(size) for size in (1, 5000, 6 << 20)}
    with _started(objects, tmp_path, ports) as url, closing(open_store(url, KEYS)) as store:
        for key, body in bodies.items():
            store.put(key, body)
    with _started(objects, tmp_path, ports) as url, closing(open_store(url, KEYS)) as store:
        assert {key: store.get(key) for key in bodies} == bodies


def test_a_bundled_seaweedfs_that_starts_again_waits_for_no_other_master_and_its_pod_leaves_within_two_seconds() -> (
    None
):
    pod = _pod(chart.render({"objectStore": {"kind": "seaweedfs"}}))
    assert {"-master.electionTimeout=1s", "-volume.preStopSeconds=0"} <= set(pod["containers"][0]["args"])
    assert pod["terminationGracePeriodSeconds"] == 2


@pytest.mark.parametrize("kind", ["minio", "seaweedfs"])
@pytest.mark.parametrize(
    ("limit", "expected"), [("1Gi", (1 << 30) * 8 // 10), ("2G", 1_600_000_000), ("1536Mi", 1288490188)]
)
def test_a_bundled_store_collects_its_garbage_below_its_limit(kind: str, limit: str, expected: int) -> None:
    objects = chart.render({"objectStore": {"kind": kind, "resources": {"limits": {"memory": limit}}}})
    env = {each["name"]: each.get("value") for each in _pod(objects)["containers"][0]["env"]}
    assert env["GOMEMLIMIT"] == str(expected)


@pytest.mark.parametrize(("limit", "megabytes"), [("1Gi", 256), ("4Gi", 1024), ("6000M", 1430)])
def test_a_bundled_seaweedfs_takes_in_a_quarter_of_its_memory_at_a_time(limit: str, megabytes: int) -> None:
    objects = chart.render({"objectStore": {"kind": "seaweedfs", "resources": {"limits": {"memory": limit}}}})
    assert f"-s3.concurrentUploadLimitMB={megabytes}" in _arguments(objects)


def _ports() -> list[int]:
    return free_ports(2 + 2 * len(PARTS))


@contextmanager
def _started(objects: list[dict[str, Any]], folder: Path, ports: list[int]) -> Iterator[str]:
    """Run the rendered container over `folder`, and end it as the kubelet does; yield the store's URL."""
    [s3_port, *others] = ports
    users = folder / "s3.json"
    users.write_text(_secret(objects, "flstore-store-users")["s3.json"])
    moved = {"-dir=/data": f"-dir={folder}", "-s3.port=9000": f"-s3.port={s3_port}", "-s3.ip.bind=0.0.0.0": ""}
    moved["-s3.config=/etc/seaweedfs/s3.json"] = f"-s3.config={users}"
    moved |= {
        f"-{part}.localSocket=/tmp/{part}.sock": f"-{part}.localSocket={folder}/{part}.sock" for part in ("s3", "filer")
    }
    words = [moved.get(word, word) for word in _arguments(objects)]
    elsewhere = [f"-{part}.port={others[i]}" for i, part in enumerate(PARTS)]
    elsewhere += [f"-{part}.port.grpc={others[i + len(PARTS)]}" for i, part in enumerate([*PARTS, "s3"])]
    process = subprocess.Popen(
        [_weed(), *filter(None, words), *elsewhere],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"s3://flstore?endpoint=http://127.0.0.1:{s3_port}"
        wait_until(lambda: _writes(url, KEYS), "SeaweedFS taking a write", 60)
        yield url
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_pod(objects)["terminationGracePeriodSeconds"])
        process.kill()
        process.wait()


def _writes(url: str, keys: dict[str, str]) -> bool:
    store = open_store(url, {**keys, "FLSTORE_S3_GIVE_UP_S": "1"})
    try:
        store.put("jobs/a/job.json", b"{}")
        return store.get("jobs/a/job.json") == b"{}"
    except StoreUnavailable:
        return False
    finally:
        store.close()


def _only_reads(url: str, keys: dict[str, str]) -> None:
    """Check that a user reads, lists and is told what is missing, and changes nothing."""
    store = open_store(url, {**keys, "FLSTORE_S3_GIVE_UP_S": "1"})
    try:
        assert store.get("jobs/a/job.json") == b"{}"
        assert [info.key for info in store.list("jobs/")] == ["jobs/a/job.json"]
        with pytest.raises(NotFound):
            store.get("jobs/b/job.json")
        with pytest.raises(StoreUnavailable, match="AccessDenied"):
            store.put("jobs/a/job.json", b"[]")
        with pytest.raises(StoreUnavailable, match="AccessDenied"):
            store.delete("jobs/a/job.json")
        assert store.get("jobs/a/job.json") == b"{}"
    finally:
        store.close()


def test_shards_and_predictors_get_the_readers_keys_and_the_others_the_writers() -> None:
    objects = chart.render({"objectStore": {"kind": "seaweedfs"}})
    [placement] = [
        each for each in objects if each["metadata"]["name"] == "flstore-placement" and "Deploy" in each["kind"]
    ]
    env = {each["name"]: each for each in placement["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["FLSTORE_STORE_SECRET"]["value"] == "flstore-store-reader", "which the controller gives to backends"
    assert env["FLSTORE_S3_ACCESS_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "flstore-store"


def test_the_readers_keys_follow_from_the_writers() -> None:
    """Else each rendering without a look at the cluster would change them under a running store."""
    values = {"objectStore": {"kind": "seaweedfs", **CREDENTIALS}}
    first, second = (_secret(chart.render(values), "flstore-store-reader") for _ in range(2))
    other = {**CREDENTIALS, "secretKey": "another-secret"}
    third = _secret(chart.render({"objectStore": {"kind": "seaweedfs", **other}}), "flstore-store-reader")
    assert first == second
    assert first["FLSTORE_S3_SECRET_KEY"] != third["FLSTORE_S3_SECRET_KEY"]


def _secret(objects: list[dict[str, Any]], name: str) -> dict[str, str]:
    [found] = [each for each in objects if each["kind"] == "Secret" and each["metadata"]["name"] == name]
    data: dict[str, str] = found["stringData"]
    return data


def _arguments(objects: list[dict[str, Any]]) -> list[str]:
    """Return the arguments of the rendered container."""
    [container] = _pod(objects)["containers"]
    assert container["command"] == ["weed"]
    arguments: list[str] = container["args"]
    return arguments


def _pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    [item] = [each for each in objects if each["kind"] == "StatefulSet"]
    pod: dict[str, Any] = item["spec"]["template"]["spec"]
    return pod
