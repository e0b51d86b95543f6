"""Cold starts: their share of requests and of latency, by arrival rate and idle window, and their stages.

Requests come as a Poisson process, so a share of exp(-window / interval) of them finds the shard at zero. The measured
share is compared with it.
"""

import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from math import exp
from statistics import mean
from typing import Any

import numpy as np

from flstore_core.client import FLStore
from loadgen.experiments.base import Cell, Measured, Outcome, Report
from loadgen.experiments.tables import table, varied
from loadgen.pictures.base import Axis, Picture
from loadgen.systems.deployments import flstore_in

REQUESTS = 20
PARAMETERS = 2_542_856
"""Of MobileNetV3-Small."""
JOB = "cold"
STAGES = ("start", "fetch", "compute", "rest")


class Cold:
    """One shard, one model, one request at a time."""

    name = "cold"
    title = "Cold starts by arrival rate and idle window"

    def measure(self, cell: Cell) -> Measured:
        rng = random.Random(cell.seed)
        with (
            tempfile.TemporaryDirectory(prefix="flstore-cold-") as folder,
            flstore_in(folder, 1, "64MiB", cell.values["idle_s"]) as url,
            FLStore(url) as client,
        ):
            model = {"w": np.random.default_rng(cell.seed).standard_normal(PARAMETERS).astype(np.float32)}
            client.create_job(JOB, like=model, slices=1)
            client.put_aggregate(JOB, 0, model)
            client.commit(JOB, 0)
            client.run_anew(JOB, "inspect", round=0)
            requests = []
            for _ in range(REQUESTS):
                time.sleep(rng.expovariate(1 / cell.values["interval_s"]))
                requests.append(_ask(client))
        return {"asked": requests}

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        rows = [_row(each) for each in outcomes]
        heads = ("idle window, s", "mean interval, s", "cold share", "exp(-window/interval)", "mean ms, cold")
        stages = [f"{stage} ms, cold" for stage in STAGES]
        text = table([*heads, *stages, "mean ms, warm", "cold starts' share of all latency"], rows)
        curves = {"expected": [(x / 10, exp(-x / 10)) for x in range(1, 80)]}
        for idle in varied(outcomes, "idle_s"):
            mine = [each for each in outcomes if each.values["idle_s"] == idle]
            curves[f"window {idle:g} s"] = sorted(
                (idle / each.values["interval_s"], _cold_share(each)) for each in mine
            )
        across = Axis("idle window over mean interval of requests", low=0.0, high=8.0)
        picture = Picture(self.title, curves, across, Axis.share("requests that found the shard at zero"))
        return Report(text + "\n![Cold share](cold.svg)\n", {"cold": picture})


def _ask(client: FLStore) -> dict[str, Any]:
    """Send one request; return whether the shard had to be started, and the milliseconds of each stage."""
    before = _shard(client)
    started = time.perf_counter()
    execution = client.run_anew(JOB, "inspect", round=0).execution
    total = 1e3 * (time.perf_counter() - started)
    after = _shard(client)
    cold = after["starts"] > before["starts"]
    start = 1e3 * (after["last_start_s"] or 0.0) if cold else 0.0
    fetch, compute = execution.shard_fetch_ms, execution.shard_compute_ms
    rest = max(0.0, total - start - fetch - compute)
    return {"cold": cold, "total": total, "start": start, "fetch": fetch, "compute": compute, "rest": rest}


def _shard(client: FLStore) -> Mapping[str, Any]:
    shard: Mapping[str, Any] = next(each for each in client.cache()["shards"] if each["shard"].startswith("shard"))
    return shard


def _cold_share(each: Outcome) -> float:
    return float(mean(request["cold"] for request in each.measured["asked"]))


def _row(each: Outcome) -> list[object]:
    requests = each.measured["asked"]
    cold, warm = ([request for request in requests if request["cold"] is kind] for kind in (True, False))
    idle, interval = each.values["idle_s"], each.values["interval_s"]
    by_stage = [_mean(cold, stage) for stage in ("total", *STAGES)]
    extra = sum(request["start"] + request["fetch"] for request in cold) / sum(r["total"] for r in requests)
    return [f"{idle:g}", interval, _cold_share(each), exp(-idle / interval), *by_stage, _mean(warm, "total"), extra]


def _mean(requests: Sequence[Mapping[str, Any]], stage: str) -> object:
    return mean(request[stage] for request in requests) if requests else "–"
