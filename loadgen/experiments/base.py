"""What an experiment is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flstore_core.errors import Unavailable
from loadgen.traces.generator import TraceSettings

Measured = dict[str, Any]
"""JSON values."""


@dataclass(frozen=True)
class Cell:
    """One point of a design, with one seed."""

    experiment: str
    values: Mapping[str, Any]
    """What is varied, by name."""
    seed: int
    trace: TraceSettings = field(default_factory=TraceSettings)

    @property
    def name(self) -> str:
        return ",".join(f"{name}={value}" for name, value in {**self.values, "seed": self.seed}.items())


@dataclass(frozen=True)
class Outcome:
    """A cell that was measured."""

    values: Mapping[str, Any]
    seed: int
    measured: Measured
    seconds: float
    """How long it took."""
    load: float
    """Load average of the machine when it ended: what else ran counts too."""


@dataclass(frozen=True)
class Report:
    """What came out, as text and pictures."""

    text: str
    """Markdown."""
    plots: Mapping[str, str] = field(default_factory=dict)
    """SVGs by name."""


class Experiment(Protocol):
    """One question."""

    name: str
    """Also that of its design."""
    title: str

    def measure(self, cell: Cell) -> Measured:
        """Return what one cell shows; raise `FLStoreError` if it cannot be measured."""

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """Return what all cells show, in the order of the design."""


def whole(result: Measured) -> Measured:
    """Return the results of a run; raise `Unavailable` if it ended early: half a run is no cell."""
    if result["partial"]:
        raise Unavailable(str(result["headline"]))
    return result
