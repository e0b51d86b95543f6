"""Time per round with and without FLStore, of ten clients of ResNet18's size."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from tests.frameworks.plan import RESNET, Plan
from tests.frameworks.programs import Framework
from tests.frameworks.steps import Steps

ROUNDS = 3
WARM_UP = 1
"""Rounds that do not count: workers and caches start in them."""
TRAINING_S = 4.0
"""Mean seconds that a client trains for, on a machine of its own: an epoch over 2,000 images at 500 a second."""


@dataclass(frozen=True)
class Overhead:
    """Medians over rounds."""

    without_s: float
    with_s: float

    @property
    def ratio(self) -> float:
        return self.with_s / self.without_s


def measure(framework: Framework, url: str, training_s: float) -> Overhead:
    """Train without FLStore and with it, one after the other.

    Args:
        training_s: mean seconds for which clients do nothing, as if they trained elsewhere; from 0.5 to 1.5 of it.
    """
    job = f"{framework.name.lower()}-overhead-{training_s:g}"
    without, recorded = (
        framework.train(Plan(RESNET, rounds=ROUNDS, url=used, job=job, training_s=training_s)) for used in ("", url)
    )
    return Overhead(median(without.seconds[WARM_UP:]), median(recorded.seconds[WARM_UP:]))


def measure_all(framework: Framework, url: str, steps: Steps) -> Mapping[float, Overhead]:
    """Measure rounds of messages alone, and rounds with training, by their seconds; what fails is not in the result."""
    measured = {}
    for training_s in (0.0, TRAINING_S) if framework.bare else (TRAINING_S,):
        name = f"{framework.name}, rounds {words(training_s)}"
        each = steps.take(name, lambda seconds=training_s: measure(framework, url, seconds), _told)  # type: ignore[misc]
        if each is not None:
            measured[training_s] = each
    return measured


def words(training_s: float) -> str:
    """Return what a round has in it."""
    return f"with training for {training_s:g} s" if training_s else "of messages alone"


def _told(measured: Overhead) -> str:
    return f"{measured.without_s:.2f} s without FLStore, {measured.with_s:.2f} s with it"
