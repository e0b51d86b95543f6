"""Measures what each part of the system contributes: the paper's mix with one part left out.

Without statistics, their requests have to read models. Each is sent as `norms` of exactly the models that it is about.
That computes less than any other workload on them, so the measured latency is a lower bound.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flstore_core.patterns import Pattern
from loadgen.compare.comparison import Comparison
from loadgen.experiments.base import Cell, Measured, Outcome, Report, whole
from loadgen.experiments.tables import table
from loadgen.pictures.base import LATENCY_AXES, Picture
from loadgen.run.events import Event, Request, parse_event
from loadgen.run.runner import JOB_SETTINGS, Pace, Plan
from loadgen.systems.deployments import Deployment, System
from loadgen.traces.generator import generate

SHARDS = 2
BUDGET_ROUNDS = 2.0


class Ablation:
    """FLStore whole, and with one part left out."""

    name = "ablation"
    title = "The paper's mix with a part left out"

    def measure(self, cell: Cell) -> Measured:
        without = cell.values["without"]
        settings: dict[str, Any] = {"slices": 1 if without == "slices" else SHARDS}
        settings |= {"statistics": "off"} if without == "statistics" else {}
        events = [parse_event(event) for event in generate(cell.trace)]
        if without == "statistics":
            events = list(_of_models(events))
        cache_bytes = int(BUDGET_ROUNDS * cell.trace.round_bytes / SHARDS)
        policy = "lru" if without == "tailored policy" else "tailored"
        with tempfile.TemporaryDirectory(prefix="flstore-ablation-") as folder:
            deployment = Deployment(
                f"{folder}/store",
                shards=SHARDS,
                cache_size=str(cache_bytes),
                idle_seconds=0.0,
                policy=policy,
                log=Path(folder) / "log",
            )
            plan = Plan(pace=Pace.SERIAL, job_settings={**JOB_SETTINGS, **settings})
            result = whole(Comparison(deployment, plan, lambda: events, {}).run_one(System.FLSTORE))
        names = ("requests", "hit_rate", "dollars", "errors", "uploads")
        return {**{name: result[name] for name in names}, "curve": result["curves"]["overall"]}

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        patterns = [name for name in outcomes[0].measured["requests"] if name in {each.value for each in Pattern}]
        rows = []
        for each in outcomes:
            requests = each.measured["requests"]
            means = [_mean(requests, name) for name in ("overall", *patterns)]
            tail, errors = requests["overall"]["p99_ms"], sum(each.measured["errors"].values())
            dollars = 1e6 * each.measured["dollars"]
            uploads = each.measured["uploads"]["mean_ms"]
            rows.append([each.values["without"], *means, tail, each.measured["hit_rate"], uploads, dollars, errors])
        heads = [f"{name}, mean ms" for name in ("all", *patterns)]
        text = table(["without", *heads, "p99 ms", "hit rate", "an upload, ms", "requests, $ / 1e6", "errors"], rows)
        curves = {f"without {each.values['without']}": each.measured["curve"] for each in outcomes}
        picture = Picture(self.title, curves, *LATENCY_AXES)
        return Report(text + "\n![Latencies](ablation.svg)\n", {"ablation": picture})


def _of_models(events: Sequence[Event]) -> Iterator[Event]:
    for event in events:
        about_models = isinstance(event, Request) and event.pattern in (Pattern.P2, Pattern.P3)
        yield replace(event, workload="norms") if about_models and isinstance(event, Request) else event


def _mean(requests: Measured, name: str) -> object:
    return requests[name]["mean_ms"] if name in requests else "–"
