"""Designs: which cells an experiment has, from small YAML files of the experiments' names."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from flstore_core.errors import InvalidParameters
from loadgen.experiments.base import Cell
from loadgen.run.scenario import known
from loadgen.traces.generator import TraceSettings

FOLDER = Path(__file__).parent
_TRACED = frozenset(each.name for each in fields(TraceSettings))


@dataclass(frozen=True)
class Design:
    """A grid: every combination of what is varied, with every seed."""

    name: str
    about: str
    seeds: tuple[int, ...]
    trace: TraceSettings | None
    """What every cell's trace has in common; None if there is none."""
    vary: Mapping[str, tuple[Any, ...]]

    def cells(self) -> list[Cell]:
        """Return the cells in order; what is varied by the name of a trace's setting is that setting."""
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
    """Return the design of an experiment; `quick` is one of few and small cells, to see that everything works."""
    return parse_design(name, (FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), quick=quick)


def parse_design(name: str, text: str, *, quick: bool = False) -> Design:
    """Return a design from YAML; raise `InvalidParameters` naming what does not fit."""
    data = yaml.safe_load(text)
    if not isinstance(data, dict) or not {"about", "seeds", "vary", "quick"} <= data.keys():
        raise InvalidParameters(f"design {name!r} needs about, seeds, vary and quick")
    small = data["quick"] if quick else {}
    vary = {**data["vary"], **small.get("vary", {})}
    trace = known({**data.get("trace", {}), **small.get("trace", {})}, TraceSettings, f"design {name!r}, trace")
    seeds: list[int] = small["seeds"] if "seeds" in small else data["seeds"]
    return Design(
        name,
        data["about"],
        tuple(seeds),
        TraceSettings(**trace) if "trace" in data else None,
        {each: tuple(values) for each, values in vary.items()},
    )
