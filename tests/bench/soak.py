"""A shard that evicts all the time must not grow.

Job follows job, each deleted when it is done: half an hour of updates would not fit on most disks.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path

import urllib3

from flstore_core.client import FLStore
from loadgen.run.events import Event, parse_event
from loadgen.run.runner import Pace, Plan
from loadgen.run.session import Session, run_session
from loadgen.run.tally import Tally
from loadgen.systems.deployments import Deployment, System, started
from loadgen.traces.generator import TraceSettings, generate
from tests.bench.row import Row

SECONDS = float(os.environ.get("FLSTORE_SOAK_SECONDS", "30"))
"""1800 for the half hour that the figure is meant for."""
CACHE_SIZE = "160MiB"
"""Less than two rounds, so that every round evicts."""
TRACE = TraceSettings(model="mobilenet_v3_small", clients=40, rounds=60, requests=180, hours=3)
"""Of one job: 7 GB."""


class Memory:
    """Reads a shard's resident memory every second."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.samples: list[float] = []

    def __call__(self, tally: Tally, elapsed: float) -> None:
        if pid := self._pid():
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            self.samples.append(float(pages * os.sysconf("SC_PAGE_SIZE")))

    def _pid(self) -> int | None:
        found = json.loads(urllib3.request("GET", self._url + "/v1/cache").data)["shards"][0]
        return found["pid"] if found["state"] == "awake" else None


def rows() -> Iterator[Row]:
    """Compare the middle of the run, when the cache has long been full, with its end."""
    with tempfile.TemporaryDirectory(prefix="flstore-soak-") as name:
        deployment = Deployment(f"{name}/store", shards=1, cache_size=CACHE_SIZE, idle_seconds=0.0)
        with started(System.FLSTORE, deployment) as url:
            memory = Memory(url)
            rounds, answered = _jobs(url, memory, time.monotonic() + SECONDS)
    quarter = max(1, len(memory.samples) // 4)
    before = statistics.median(memory.samples[quarter : 3 * quarter])
    after = statistics.median(memory.samples[3 * quarter :])
    note = f"{SECONDS:.0f} s of half an hour, {rounds} rounds, {answered} requests, {after / 1e6:.0f} MB at the end"
    yield Row("soak_rss_growth", after / before - 1.0, "", 0.05, note=note)


def _jobs(url: str, memory: Memory, end: float) -> tuple[int, int]:
    """Replay job after job until `end`; return the rounds that were committed and the requests that were answered."""
    rounds = answered = 0
    with FLStore(url) as client:
        for seed in takewhile(lambda _: time.monotonic() < end, count(1)):
            trace = replace(TRACE, seed=seed)
            result = run_session(Session(url, Plan(pace=Pace.SERIAL)), _until(end, trace), [memory])
            rounds += result["commits"]["count"]
            answered += result["answered"]
            client.delete_job(trace.job)
    return rounds, answered


def _until(end: float, trace: TraceSettings) -> Iterable[Event]:
    return takewhile(lambda _: time.monotonic() < end, map(parse_event, generate(trace)))
