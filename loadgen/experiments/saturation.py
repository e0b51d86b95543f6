"""The highest rate of answers by number of shards, and the latency at lower rates."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace

from flstore_core.patterns import Pattern
from loadgen.experiments.base import Cell, Measured, Outcome, Report, whole
from loadgen.experiments.history import History, asked_again
from loadgen.experiments.tables import table, varied
from loadgen.pictures.base import Axis, Picture
from loadgen.run.events import Event, Request
from loadgen.run.runner import Plan
from loadgen.run.session import Session, run_session
from loadgen.systems.deployments import flstore_in

MODEL_BYTES = 4 * 2**20
CLIENTS = 4
WORKERS = 16
TIMES = 400
STEPS = (0.25, 0.5, 0.75, 0.9, 1.1)
"""Rates that are tried, as multiples of the highest rate of answers to waiting workers."""
STEP_S = 2.0
WORKLOADS = {"statistics": "cosine-similarity", "weights": "norms"}


class Saturation:
    """As many slices as shards, one process each."""

    name = "saturation"
    title = "Requests a second by number of shards"

    def measure(self, cell: Cell) -> Measured:
        shards = cell.values["shards"]
        history = History(MODEL_BYTES, clients=CLIENTS, settings={"slices": shards})
        ask = history.ask(WORKLOADS[cell.values["needs"]])
        with (
            tempfile.TemporaryDirectory(prefix="flstore-saturation-") as folder,
            flstore_in(folder, shards, "64MiB") as url,
        ):
            history.woken(url).store(url)
            most = asked_again(url, ask, TIMES, WORKERS)["per_s"]
            steps = [_step(url, ask, step * most) for step in STEPS]
        return {"most_per_s": most, "steps": steps}

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        rows = []
        for each in outcomes:
            tails = [f"{step['p50_ms']:.1f} / {step['p99_ms']:.1f}" for step in each.measured["steps"]]
            rows.append([each.values["needs"], each.values["shards"], each.measured["most_per_s"], *tails])
        heads = [f"p50 / p99 ms at {step:g} of it" for step in STEPS]
        text = table(["needs", "shards", "answers a second, 16 workers", *heads], rows)
        curves = {
            needs: [
                (each.values["shards"], each.measured["most_per_s"])
                for each in outcomes
                if each.values["needs"] == needs
            ]
            for needs in varied(outcomes, "needs")
        }
        across = Axis("shards", ticks=tuple(varied(outcomes, "shards")))
        picture = Picture(self.title, curves, across, Axis("answers a second", low=0.0))
        return Report(text + "\n![Requests a second](saturation.svg)\n", {"saturation": picture})


def _step(url: str, ask: Request, rate: float) -> dict[str, float]:
    result = whole(run_session(Session(url, Plan()), _paced(ask, rate)))
    row = result["requests"]["overall"]
    return {"rate": rate, "answered_per_s": result["rate_per_s"], **{name: row[name] for name in ("p50_ms", "p99_ms")}}


def _paced(ask: Request, rate: float) -> Iterator[Event]:
    return (replace(ask, t=index / rate, pattern=Pattern.P2) for index in range(max(1, int(rate * STEP_S))))
