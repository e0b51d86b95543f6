"""Runs cells one after the other, and keeps each outcome in a file."""

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from loadgen.experiments.base import Cell, Experiment, Outcome

Progress = Callable[[Cell, bool], None]
"""Is called before each cell, with whether its outcome was kept from an earlier run."""


def is_done(cells: Iterable[Cell], folder: Path) -> bool:
    """Return whether all cells have been measured."""
    return all(_path(cell, folder).exists() for cell in cells)


def run(experiment: Experiment, cells: Iterable[Cell], folder: Path, progress: Progress) -> list[Outcome]:
    """Return the outcome of every cell, from its file below `folder` or measured now and kept there."""
    outcomes = []
    for cell in cells:
        path = _path(cell, folder)
        progress(cell, path.exists())
        if not path.exists():
            _keep(_measured(experiment, cell), path)
        outcomes.append(Outcome(**json.loads(path.read_text(encoding="utf-8"))))
    return outcomes


def _path(cell: Cell, folder: Path) -> Path:
    return folder / cell.experiment / f"{cell.name}.json"


def _measured(experiment: Experiment, cell: Cell) -> Outcome:
    started = time.monotonic()
    measured = experiment.measure(cell)
    return Outcome(cell.values, cell.seed, measured, round(time.monotonic() - started, 1), os.getloadavg()[0])


def _keep(outcome: Outcome, path: Path) -> None:
    """Write an outcome atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    unfinished.write_text(json.dumps(asdict(outcome), indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)
