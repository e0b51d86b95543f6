"""Whom each method of the malicious filter accuses in a training, against who really attacks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flstore_core.workloads.malicious_filter import MaliciousFilter
from tests.truth.trainings import Case
from tests.workloads.federated import TrainedRound, train
from tests.workloads.rounds import ask, make_round

METHODS = ("robust", "flame", "fltrust", "foolsgold")
ROOT = "root"
_FILTER = MaliciousFilter()


@dataclass(frozen=True)
class Count:
    """Participations by who took part and who was accused."""

    found: int = 0
    planted: int = 0
    blamed: int = 0
    """Honest ones that were accused."""
    honest: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.found + other.found,
            self.planted + other.planted,
            self.blamed + other.blamed,
            self.honest + other.honest,
        )

    @property
    def recall(self) -> float:
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.blamed) if self.found + self.blamed else 1.0


def total(counts: Iterable[Count]) -> Count:
    return sum(counts, Count())


def try_methods(case: Case, methods: Sequence[str] = METHODS) -> Mapping[str, Count]:
    """Run a training and return how each method did in it."""
    counts = dict.fromkeys(methods, Count())
    setting = case.setting
    for trained in train(setting):
        attackers = {str(client) for client in trained.clients} & {str(client) for client in setting.attackers}
        for method in methods:
            accused = set(accuse(trained, method))
            counts[method] += Count(
                len(accused & attackers),
                len(attackers),
                len(accused - attackers),
                len(trained.clients) - len(attackers),
            )
    return counts


def accuse(trained: TrainedRound, method: str) -> list[str]:
    """Return whom the workload accuses; `fltrust` is given the server's own update."""
    names, rows, more = [str(client) for client in trained.clients], trained.deltas, {}
    if method == "fltrust":
        names, rows, more = [*names, ROOT], np.vstack([rows, trained.root]), {"root": ROOT}  # type: ignore[list-item]
    found: list[str] = ask(_FILTER, make_round(rows, names), method=method, **more).malicious
    return found
