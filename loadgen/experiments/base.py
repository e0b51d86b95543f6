"""The contract of an experiment, and its values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flstore_core.errors import Unavailable
from loadgen.pictures.base import Picture
from loadgen.traces.generator import TraceSettings

Measured = dict[str, Any]
"""JSON values."""


@dataclass(frozen=True)
class Cell:
    """One point of a design, with one seed."""

    experiment: str
    values: Mapping[str, Any]
    """Values of the varied settings, by name."""
    seed: int
    trace: TraceSettings = field(default_factory=TraceSettings)

    @property
    def name(self) -> str:
        return ",".join(f"{name}={value}" for name, value in {**self.values, "seed": self.seed}.items())


@dataclass(frozen=True)
class Outcome:
    """The measurements of one cell."""

    values: Mapping[str, Any]
    seed: int
    measured: Measured
    seconds: float
    """How long it took."""
    load: float
    """Load average of the machine when it ended, other processes included."""


@dataclass(frozen=True)
class Report:
    """An experiment's results as text and pictures."""

    text: str
    """Markdown."""
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    """By the names of their files, without suffix."""


class Experiment(Protocol):
    """One question."""

    name: str
    """Also that of its design."""
    title: str

    def measure(self, cell: Cell) -> Measured:
        """Return the measurements of one cell; raise `FLStoreError` if it cannot be measured."""

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """Return a report over the outcomes of all cells, given in the order of the design."""


def whole(result: Measured) -> Measured:
    """Return the results of a run; raise `Unavailable` if it ended early."""
    if result["partial"]:
        raise Unavailable(str(result["headline"]))
    return result
