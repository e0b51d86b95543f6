"""The study of caching policies: policies × mixes × budgets × seeds, in simulation.

A cell is one trace at one budget, replayed through every policy. Cells run in parallel. Each is added to a file of JSON
lines when it finishes, so that a study that was stopped continues with the cells that are missing.
"""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flstore_core.patterns import Pattern
from flstore_core.policies.registry import BELADY, ablation_names, names_without_prefetch, rival_names
from flstore_core.simulator import Result, Trace, read_trace, simulate
from flstore_core.simulator.offline import farthest_next_use
from loadgen.traces.generator import TraceSettings, generate
from loadgen.traces.mixes import MIXES

BUDGETS = (0.5, 1, 2, 4, 8)
"""In rounds of the model: the updates of a round and its aggregate."""
SEEDS = (1, 2, 3, 4, 5)
ROUNDS, REQUESTS, HOURS = 400, 1200, 20.0
"""Rounds of three minutes and a request a minute, as in the full trace, but 400 rounds instead of 1,000."""
ABLATED_MIX = "paper"


@dataclass(frozen=True)
class Cell:
    """One trace at one budget."""

    mix: str
    budget_rounds: float
    seed: int

    @property
    def settings(self) -> TraceSettings:
        return TraceSettings(mix=self.mix, seed=self.seed, rounds=ROUNDS, requests=REQUESTS, hours=HOURS)

    @property
    def budget(self) -> int:
        """Bytes of cache."""
        return int(self.budget_rounds * self.settings.round_bytes)


@dataclass(frozen=True)
class Measured:
    """One policy's figures in one cell: hit rates by pattern and "overall", prefetches, CPU seconds an event."""

    cell: Cell
    policy: str
    hit_rates: dict[str, float]
    prefetches: int
    prefetches_used: int
    seconds_per_event: float


def all_cells() -> list[Cell]:
    """Return the grid of the study."""
    return [Cell(mix, budget, seed) for mix in MIXES for seed in SEEDS for budget in BUDGETS]


def run_study(cells: Iterable[Cell], kept: Path, processes: int) -> Iterator[list[Measured]]:
    """Yield the measurements of every cell: first those in the file `kept`, then new ones, which are added to it."""
    done = dict(_read(kept)) if kept.exists() else {}
    todo = [cell for cell in cells if cell not in done]
    yield from (done[cell] for cell in cells if cell in done)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes) as pool, kept.open("a", encoding="utf-8") as file:
        for future in as_completed(pool.submit(run_cell, cell) for cell in todo):
            measured = future.result()
            file.write(_to_line(measured))
            file.flush()
            yield measured


def run_cell(cell: Cell) -> list[Measured]:
    """Replay one trace at one budget through every policy."""
    trace = _trace(cell.settings)
    ablations = ablation_names() if cell.mix == ABLATED_MIX else []
    names = dict.fromkeys(("tailored", *rival_names(), *names_without_prefetch(), *ablations))
    results = simulate(trace, names, cell.budget, cell.seed)
    return [_measured(cell, trace, result) for result in [*results, _belady(trace, cell.budget, results)]]


def _belady(trace: Trace, budget: int, results: Iterable[Result]) -> Result:
    """Return the best of the offline policy and of the online policies that it may imitate."""
    offline = [Result(BELADY, run.overall(), run.tallies, 0.0) for run in farthest_next_use(trace, budget)]
    imitated = (result for result in results if result.policy in names_without_prefetch())
    best = max((*offline, *imitated), key=lambda result: (result.overall.hits, result.overall.key_hits))
    return Result(BELADY, best.overall, best.patterns, 0.0)


@lru_cache(maxsize=1)
def _trace(settings: TraceSettings) -> Trace:
    return read_trace(json.dumps(event) for event in generate(settings))


def _measured(cell: Cell, trace: Trace, result: Result) -> Measured:
    rates = {"overall": float(result.overall.to_json()["hit_rate"])}
    rates |= {
        pattern.value: float(tally.to_json()["hit_rate"])
        for pattern, tally in result.patterns.items()
        if tally.requests
    }
    overall = result.overall
    return Measured(
        cell, result.policy, rates, overall.prefetches, overall.prefetches_used, result.seconds / trace.lines
    )


def _to_line(measured: list[Measured]) -> str:
    cell = measured[0].cell
    rows = [[m.policy, m.hit_rates, m.prefetches, m.prefetches_used, m.seconds_per_event] for m in measured]
    return json.dumps({"cell": [cell.mix, cell.budget_rounds, cell.seed], "measured": rows}) + "\n"


def _read(kept: Path) -> Iterator[tuple[Cell, list[Measured]]]:
    for line in kept.read_text(encoding="utf-8").splitlines():
        try:
            data: dict[str, Any] = json.loads(line)
        except ValueError:
            continue  # The study was stopped while it wrote this line; its cell runs again.
        cell = Cell(*data["cell"])
        yield cell, [Measured(cell, *row) for row in data["measured"]]


PATTERNS = ("overall", *(pattern.value for pattern in Pattern))
"""Columns of hit rates."""
