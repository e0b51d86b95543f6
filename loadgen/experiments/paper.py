"""The paper's headline: latency and cost of its mix, by model and workload, against both baselines."""

import os
from collections.abc import Sequence
from typing import Any

from loadgen.compare.comparison import Comparison
from loadgen.compare.hourly_cost import HourlyCost, awake_share, paper_hour_cost
from loadgen.experiments.base import Cell, Measured, Outcome, Report, whole
from loadgen.experiments.tables import table, varied
from loadgen.pictures.base import LATENCY_AXES, Picture
from loadgen.run.events import parse_event
from loadgen.run.runner import Pace, Plan
from loadgen.systems.deployments import TITLES, Deployment, System
from loadgen.systems.seaweedfs import seaweedfs
from loadgen.traces.generator import TraceSettings, generate

SHARDS = 2
BUDGET_ROUNDS = 2.5
"""Memory of all shards together, and of the cache baseline, in rounds of the model."""
NETWORKS = {"loopback": ("loopback", "loopback"), "cloud": ("cloud-s3", "elasticache")}
"""Links to the object store and to the cache."""
IDLE_S = 60.0
"""Idle window of the priced shards."""


class Paper:
    """Measures FLStore and both baselines, one after the other, over their own parts of one S3 server."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title

    def measure(self, cell: Cell) -> Measured:
        cache_bytes = int(BUDGET_ROUNDS * cell.trace.round_bytes / SHARDS)
        store, cache = NETWORKS[cell.values["network"]]
        with seaweedfs() as server:
            env = {**os.environ, **server.env}
            deployment = Deployment("s3://experiment/paper", env, SHARDS, str(cache_bytes), 0.0, store, cache)
            events = [parse_event(event) for event in generate(cell.trace)]
            measured = Comparison(deployment, Plan(pace=Pace.SERIAL), lambda: events, {}).run()
        results = dict(zip(System, measured, strict=True))
        awake = awake_share(map(parse_event, generate(TraceSettings())), IDLE_S)
        hour = paper_hour_cost(results, cell.trace.per_round + 1, SHARDS, cache_bytes, awake)
        return {**{system: _kept(whole(result)) for system, result in results.items()}, "hour": hour.to_json()}

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        pictures = {
            f"{self.name}-{each.values['model']}": _latencies(f"{self.title}: {each.values['model']}", each)
            for each in outcomes
        }
        shown = "\n".join(f"![Latencies]({name}.svg)\n" for name in pictures)
        return Report("\n".join([_headline(outcomes), _costs(outcomes), _workloads(outcomes), shown]), pictures)


def _kept(result: Any) -> Measured:
    names = ("requests", "hit_rate", "dollars", "answered", "errors", "uploads", "commits", "elapsed_s")
    return {**{name: result[name] for name in names}, "curve": result["curves"]["overall"]}


def _headline(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for each in outcomes:
        ours = each.measured[System.FLSTORE]["requests"]["overall"]
        for system in System:
            result = each.measured[system]
            row = result["requests"]["overall"]
            figures = [float(row[column]) for column in ("mean_ms", "p50_ms", "p99_ms")]
            ratio = ours["mean_ms"] / row["mean_ms"]
            errors = sum(result["errors"].values())
            rows.append([each.values["model"], TITLES[system], *figures, ratio, result["hit_rate"], errors])
    heads = ("model", "system", "mean ms", "p50 ms", "p99 ms", "FLStore's mean over it", "hit rate", "errors")
    return table(heads, rows)


def _costs(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for each in outcomes:
        hour = HourlyCost(**each.measured["hour"])
        views = {"functions": hour.functions, "nodes": hour.nodes, "nodes, nobody asks": hour.idle_nodes}
        for view, ours in views.items():
            saved = [f"{100 * share:.2f} %" for share in hour.savings(ours).values()]
            rows.append(
                [each.values["model"], view, f"{ours:.4f}", f"{hour.objstore:.3f}", f"{hour.cache:.3f}", *saved]
            )
        busy = [f"{hour.objstore_busy:.4f}", f"{hour.cache_busy:.4f}"]
        rows.append([each.values["model"], "baselines if paid while busy alone", "–", *busy, "–", "–"])
    heads = (
        "model",
        "priced as",
        "FLStore, $/h",
        "ObjStore-Agg, $/h",
        "Cache-Agg, $/h",
        "saved of the first",
        "of the second",
    )
    return table(heads, rows)


def _workloads(outcomes: Sequence[Outcome]) -> str:
    """Return mean latencies by workload; each cell of the table is FLStore / ObjStore-Agg / Cache-Agg."""
    names = list(dict.fromkeys(name for each in outcomes for name in each.measured[System.FLSTORE]["requests"]))
    rows = []
    for name in names:
        cells = [" / ".join(_mean(each, system, name) for system in System) for each in outcomes]
        rows.append([name, *cells])
    heads = [f"{model}, mean ms" for model in varied(outcomes, "model")]
    return table(["FLStore / ObjStore-Agg / Cache-Agg", *heads], rows)


def _mean(each: Outcome, system: System, name: str) -> str:
    row = each.measured[system]["requests"].get(name)
    return f"{row['mean_ms']:.1f}" if row else "–"


def _latencies(title: str, each: Outcome) -> Picture:
    curves = {TITLES[system]: each.measured[system]["curve"] for system in System}
    return Picture(title, curves, *LATENCY_AXES)
