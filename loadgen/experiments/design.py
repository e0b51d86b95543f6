"""Designs: the cells of an experiment, from a YAML file of its name."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from flstore_core.errors import InvalidParameters
from loadgen.experiments.base import Cell
from loadgen.run.scenario import checked_fields
from loadgen.traces.generator import TraceSettings

FOLDER = Path(__file__).parent
_TRACED = frozenset(each.name for each in fields(TraceSettings))


@dataclass(frozen=True)
class Design:
    """A grid: every combination of the varied values, with every seed."""

    name: str
    about: str
    seeds: tuple[int, ...]
    trace: TraceSettings | None
    """Settings common to the traces of all cells; None if the experiment uses no trace."""
    vary: Mapping[str, tuple[Any, ...]]

    def cells(self) -> list[Cell]:
        """Return the cells in order; a varied value that has the name of a trace's setting becomes that setting."""
        return [
            self._cell(dict(zip(self.vary, values, strict=True)), seed)
            for values in product(*self.vary.values())
            for seed in self.seeds
        ]

    def _cell(self, values: Mapping[str, Any], seed: int) -> Cell:
        if self.trace is None:
            return Cell(self.name, values, seed)
        settings = {name: value for name, value in values.items() if name in _TRACED}
        return Cell(self.name, values, seed, replace(self.trace, seed=seed, **settings))


def load_design(name: str, *, quick: bool = False) -> Design:
    """Return the design of an experiment; with `quick`, one of few and small cells, to check that everything works."""
    return parse_design(name, (FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), quick=quick)


def parse_design(name: str, text: str, *, quick: bool = False) -> Design:
    """Return a design from YAML; raise `InvalidParameters` naming the missing or unknown key."""
    data = yaml.safe_load(text)
    if not isinstance(data, dict) or not {"about", "seeds", "vary", "quick"} <= data.keys():
        raise InvalidParameters(f"design {name!r} needs about, seeds, vary and quick")
    small = data["quick"] if quick else {}
    vary = {**data["vary"], **small.get("vary", {})}
    trace = checked_fields(
        {**data.get("trace", {}), **small.get("trace", {})}, TraceSettings, f"design {name!r}, trace"
    )
    seeds: list[int] = small["seeds"] if "seeds" in small else data["seeds"]
    return Design(
        name,
        data["about"],
        tuple(seeds),
        TraceSettings(**trace) if "trace" in data else None,
        {each: tuple(values) for each, values in vary.items()},
    )
