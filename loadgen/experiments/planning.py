"""Beyond this machine: 10,000 jobs and 1,000 shards in simulation, with service times measured on this machine.

Each job has the load of an hour of the paper's trace. A shard is one server; requests for weights spread evenly over
them. The placement table is one server, since all changes to it are serial: for each new job the controller goes
through all jobs, plans the new one and writes the whole table, and every gateway then reads it.
"""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import ceil
from statistics import mean

from flstore_core.ids import JobId, ShardId
from flstore_core.placement import Observed, Plan, Planner, Shard, Table
from flstore_core.records import Job
from loadgen.compare.hourly_cost import REQUESTS, ROUNDS
from loadgen.experiments.base import Cell, Measured, Outcome, Report
from loadgen.experiments.history import History, asked_again
from loadgen.experiments.network_of_queues import Flow, Station, offered, simulate
from loadgen.experiments.tables import table
from loadgen.pictures.base import Axis, Picture
from loadgen.run.connections import Pool
from loadgen.run.synthetic_models import Models, schema_of
from loadgen.run.target import Target
from loadgen.systems.deployments import flstore_in
from loadgen.traces.generator import MODEL_BYTES

SHARDS, GATEWAYS, STORES = 1000, 64, 64
"""A store node is as fast as this machine's disk."""
UPLOADS = 11
JOB = "job-0"
JOB_HOURS = 50.0
WEIGHTS_SHARE = 0.25
"""Of the requests: those of pattern P1; the gateway answers the others from statistics and metadata."""
SIMULATED_S = 20.0
PLANNED_JOBS = 200
"""Jobs in the table that is timed; the time is scaled linearly to more of them."""
SHARD_BYTES = 2 << 30
HIGH = 0.7
"""Load above which queues get long."""


@dataclass(frozen=True)
class Services:
    """Seconds of one server, as measured."""

    answer: float
    """The gateway's, for a request it answers by itself."""
    mapped: float
    """A shard's, for a request for weights of one model."""
    upload: float
    """From end to end, of a model of `MODEL_BYTES`; taken as a gateway's, a shard's and the store's alike."""
    commit: float


class Planning:
    """Simulates gateways, shards and store as queues, and the placement table beside them."""

    name = "planning"
    title = "Load of each part by number of jobs"

    def measure(self, cell: Cell) -> Measured:
        jobs, services = cell.values["jobs"], _services()
        table_s, table_bytes = _table(jobs)
        stations, flows = _model(jobs, services, table_s)
        seen = simulate(stations, flows, SIMULATED_S, random.Random(cell.seed))
        waits = {name: at.waited_s / max(1, at.visits) for name, at in seen.stations.items()}
        means = {name: mean(times) for name, times in seen.finished.items()}
        return {
            "offered": dict(offered(stations, flows)),
            "servers": {station.name: station.servers for station in stations},
            "wait_s": waits,
            "finished_s": means,
            "services": asdict(services),
            "table_s": table_s,
            "table_bytes": table_bytes,
        }

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        rows, curves = [], {}
        for name, servers in outcomes[0].measured["servers"].items():
            loads = [each.measured["offered"][name] for each in outcomes]
            waits = [1e3 * each.measured["wait_s"].get(name, 0.0) for each in outcomes]
            needed = ceil(loads[-1] * servers / HIGH)
            shown = [f"{load:.2f} / {wait:.0f}" for load, wait in zip(loads, waits, strict=True)]
            rows.append([name, servers, *shown, "no number helps" if name == "table" and needed > 1 else needed])
            curves[name] = [(each.values["jobs"], load) for each, load in zip(outcomes, loads, strict=True)]
        heads = [f"{each.values['jobs']} jobs, load / wait ms" for each in outcomes]
        needed_for = f"servers for {outcomes[-1].values['jobs']} jobs at a load of {HIGH:g}"
        text = table(["station", "servers", *heads, needed_for], rows) + "\n" + _told(outcomes[-1].measured)
        upwards = Axis("load (at 1, all servers are always busy)", logarithmic=True)
        picture = Picture(self.title, curves, Axis("jobs", logarithmic=True), upwards)
        return Report(text + "\n![Load](planning.svg)\n", {"planning": picture})


def _told(measured: Mapping[str, Mapping[str, float]]) -> str:
    times = ", ".join(f"{name} {1e3 * seconds:.1f}" for name, seconds in measured["services"].items())
    return (
        f"Service times in ms: {times}. Placing one more job and writing the largest table takes "
        f"{measured['table_s']:.2f} s, and it has {measured['table_bytes']} bytes.\n"
    )


def _model(jobs: int, services: Services, table_s: float) -> tuple[list[Station], list[Flow]]:
    """Return the stations and the flows through them, in requests a second."""
    hourly = jobs / 3600.0
    stations = [Station("gateways", GATEWAYS), Station("shards", SHARDS), Station("store", STORES), Station("table", 1)]
    upload = [(name, services.upload) for name in ("gateways", "shards", "store")]
    flows = [
        Flow("uploads", hourly * ROUNDS * UPLOADS, upload),
        Flow("commits", hourly * ROUNDS, [("gateways", services.commit)]),
        Flow("answers", hourly * REQUESTS * (1 - WEIGHTS_SHARE), [("gateways", services.answer)]),
        Flow(
            "weights",
            hourly * REQUESTS * WEIGHTS_SHARE,
            [("gateways", services.answer), ("shards", services.mapped)],
        ),
        Flow("new jobs", hourly / JOB_HOURS, [("table", table_s)]),
    ]
    return stations, flows


@lru_cache(maxsize=1)
def _services() -> Services:
    history = History(MODEL_BYTES["resnet18"], clients=4, settings={"slices": 1})
    with tempfile.TemporaryDirectory(prefix="flstore-planning-") as folder, flstore_in(folder, 1, "1GiB") as url:
        history.woken(url)
        upload, commit = asyncio.run(_ingested(url, history))
        answer = 1.0 / asked_again(url, history.ask("cosine-similarity"), 400, 16)["per_s"]
        mapped = asked_again(url, history.ask("norms"), 20)["mean_ms"] / 1e3 / history.clients
    return Services(answer, mapped, upload, commit)


async def _ingested(url: str, history: History) -> tuple[float, float]:
    """Store a history's events one after the other; return the mean seconds of an upload, and those of a commit."""
    pool = Pool(url, timeout=120.0)
    try:
        target, models = Target(pool), Models(schema_of(history.nbytes), 1)
        await target.create_job(JOB, schema_of(history.nbytes), history.plan.job_settings)
        uploads = [await _seconds(target.put(JOB, 0, f"client-{index}", models)) for index in range(history.clients)]
        return mean(uploads), await _seconds(target.commit(JOB, 0))
    finally:
        pool.close()


async def _seconds(work: Awaitable[None]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


def _table(jobs: int) -> tuple[float, int]:
    """Return the seconds of CPU for one more job's place beside `jobs` on `SHARDS`, and the table's bytes."""
    shards = tuple(Shard(ShardId(f"shard-{index}"), SHARD_BYTES) for index in range(SHARDS))
    schema, timed = schema_of(MODEL_BYTES["resnet18"]), min(jobs, PLANNED_JOBS)
    records = tuple(Job(JobId(f"job-{index}"), schema) for index in range(timed + 1))
    planner = Planner()
    placed = planner.plan(Observed(shards, records[:-1]))
    placing, all_placed, nbytes = _timed(planner, Observed(shards, records, placed.jobs))
    # Planning again, with nothing new, takes the time to go through all jobs: the part that grows with their number.
    unchanged, *_ = _timed(planner, Observed(shards, records, all_placed.jobs))
    return placing + unchanged * (jobs - timed) / len(records), nbytes * jobs // len(records)


def _timed(planner: Planner, observed: Observed) -> tuple[float, Plan, int]:
    """Return the seconds of CPU to plan and write a table, the plan, and the bytes."""
    started = time.process_time()
    planned = planner.plan(observed)
    body = json.dumps(Table(1, {}, planned.jobs).to_json())
    return time.process_time() - started, planned, len(body)
