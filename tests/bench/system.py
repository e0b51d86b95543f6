"""A whole FLStore over a real S3 server, and the peers it is measured against."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from flstore_core.client import FLStore
from flstore_core.codec import encode
from flstore_core.storage import ObjectStore, open_store
from services.local.running import running
from tests.bench.resnet import Arrays, update
from tests.servers import S3Server, seaweedfs

CLIENTS = 10
JOB = "resnet18"
BUCKET = "s3://bench"


@dataclass(frozen=True)
class System:
    """A running FLStore with its store."""

    client: FLStore
    url: str
    store: ObjectStore
    """The same store, opened by the benchmark itself."""

    def shards(self) -> list[Mapping[str, object]]:
        """Return the controller's view of every shard; predictors are none."""
        found: list[Mapping[str, object]] = self.client.cache()["shards"]
        return [each for each in found if str(each["shard"]).startswith("shard-")]


@contextmanager
def s3() -> Iterator[S3Server]:
    """Run an S3 server for as long as the benchmark lasts."""
    with seaweedfs() as server:
        yield server


@contextmanager
def flstore(server: S3Server, prefix: str, *, shards: int = 1, cache: str = "2GiB") -> Iterator[System]:
    """Run an FLStore over `server`, its objects below `prefix`; shards never go to zero by themselves."""
    env = {**os.environ, **server.env}
    env["FLSTORE_LOG_LEVEL"] = "WARNING"
    store = open_store(f"{BUCKET}/{prefix}", env)
    with (
        running(f"{BUCKET}/{prefix}", shards=shards, cache_size=cache, idle_seconds=0.0, env=env) as (url, _),
        FLStore(url, timeout=120.0) as client,
    ):
        yield System(client, url, store)
    store.close()


def models(count: int = CLIENTS) -> tuple[Arrays, list[Arrays]]:
    """Return a base and `count` updates a small step away from it."""
    base = update(0)
    return base, [update(seed, base) for seed in range(1, count + 1)]


def body(arrays: Arrays) -> memoryview:
    """Return an update's whole safetensors file."""
    return memoryview(b"".join(encode(arrays)))


def ingest_rounds(client: FLStore, rounds: int, *, slices: int, job: str = JOB, count: int = CLIENTS) -> list[Arrays]:
    """Create a job and store rounds 0 (the base alone) to `rounds`; return the updates that each round holds."""
    base, updates = models(count)
    client.create_job(job, like=base, slices=slices, hot_rounds=2)
    client.put_aggregate(job, 0, base)
    client.commit(job, 0)
    for number in range(1, rounds + 1):
        for index, arrays in enumerate(updates):
            client.put_update(job, number, f"client-{index}", arrays, metrics={"num_examples": 100 + index})
        client.commit(job, number)
    return updates
