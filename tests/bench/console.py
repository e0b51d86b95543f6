"""The console's pages over a job of a thousand rounds and a thousand clients, a hundred of whom take part in each.

The records and statistics of rounds are written into the store as commits write them: a hundred thousand uploads take
too long. Then a gateway and a console run as processes, and each page is asked for as a browser asks for it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np

from flstore_core import layout
from flstore_core.client import FLStore
from flstore_core.generations import Generations
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Job, Member, Round, to_bytes
from flstore_core.statistics import RoundStatistics
from flstore_core.storage import ObjectStore, open_store
from services.console.pages import VIEWS
from services.local.console import console_listening
from services.local.running import running
from services.local.settings import HOST
from services.local.sockets import url_of
from tests.bench.row import Row, median_seconds

JOB = JobId("thousand")
ROUNDS = CLIENTS = 1_000
TAKING_PART = 100
TIMES = 5
GOAL_MS = 300.0


def rows() -> Iterator[Row]:
    """Time each view; the slowest of them counts."""
    with tempfile.TemporaryDirectory() as folder, console_listening(HOST) as listening:
        store = str(Path(folder) / "store")
        with running(store, idle_seconds=0.0, log=Path(folder) / "log", console=listening) as addresses:
            with FLStore(addresses.gateway) as client:
                client.create_job(JOB, like={"w": np.zeros(8, np.float32)}, clients_per_round=TAKING_PART)
            fill(open_store(store, {}))
            found = dict(_timed(url_of(listening)))
    slowest = max(found, key=lambda view: found[view])
    yield Row("console_view_ms", found[slowest], "ms", GOAL_MS, note=f"slowest: {slowest}")
    for view, milliseconds in found.items():
        yield Row(f"console_view_ms[{view}]", milliseconds, "ms", GOAL_MS)


def fill(store: ObjectStore) -> None:
    """Write the records and statistics of all rounds."""
    job = Generations(store).read(JOB)
    rng = np.random.default_rng(0)
    for number in range(ROUNDS):
        record = _record(number, rng)
        store.put(layout.statistics(job.home, number), _statistics(job, record, rng).to_bytes())
        store.put(layout.round_record(job.home, number), to_bytes(record.to_json()))


def _record(number: int, rng: np.random.Generator) -> Round:
    chosen = np.sort(rng.choice(CLIENTS, TAKING_PART, replace=False))
    members = tuple(_member(number, int(client), rng) for client in chosen)
    metrics = {"loss": 2.0 / (1 + number), "accuracy": 1.0 - 1.0 / (1 + number)}
    return Round(number, None, members, metrics=metrics, committed_at=1.7e9 + 60.0 * number, base_sha256=None)


def _member(number: int, client: int, rng: np.random.Generator) -> Member:
    loss, duration_s = rng.random(2).tolist()
    metrics = {"num_examples": 10 + client, "loss": loss, "accuracy": 1.0 - loss, "duration_s": duration_s}
    sha256 = f"{number * CLIENTS + client:064x}"
    return Member(ClientId(f"client-{client:04}"), sha256, 112, 80, metrics, 1.7e9 + 60.0 * number + duration_s, "u")


def _statistics(job: Job, record: Round, rng: np.random.Generator) -> RoundStatistics:
    deltas = rng.normal(size=(TAKING_PART, job.schema.parameters)) + 1.0
    members = tuple(member.client for member in record.members)
    hashes = tuple(member.sha256 for member in record.members)
    return RoundStatistics(members, deltas @ deltas.T, np.square(deltas).sum(axis=1, keepdims=True), hashes, None)


def _timed(console: str) -> Iterator[tuple[str, float]]:
    with httpx.Client(base_url=console, timeout=120.0) as browser:
        for view in VIEWS:
            path = view.path.format(job=JOB, round=ROUNDS // 2, client="client-0000")

            def look(path: str = path) -> None:
                browser.get(path).raise_for_status()

            yield view.path, 1e3 * median_seconds(look, TIMES, warm_up=3)
