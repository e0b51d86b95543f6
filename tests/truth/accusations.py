"""Which clients each method of the malicious filter accuses in a training, compared with those that attack."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from flstore_core.ids import JobId
from flstore_core.records import Job
from flstore_core.workloads import Context, RoundData
from flstore_core.workloads.malicious_filter import MaliciousFilter, MaliciousFilterParams
from tests.truth.trainings import Case
from tests.workloads.federated import TrainedRound, train
from tests.workloads.rounds import Artifacts, Index, make_round, schema_of

ROOT = "root"
METHODS: Mapping[str, MaliciousFilterParams] = {
    "robust": MaliciousFilterParams(),
    "robust, at the time": MaliciousFilterParams(hindsight=0),
    "flame": MaliciousFilterParams(method="flame"),
    "fltrust": MaliciousFilterParams(method="fltrust", root=ROOT),
    "foolsgold": MaliciousFilterParams(method="foolsgold"),
}
"""The parameters with which every round is judged once the training is over; `robust` with its defaults."""
_FILTER = MaliciousFilter()


@dataclass(frozen=True)
class Count:
    """Numbers of participations of attackers and of honest clients, and how many of each were accused."""

    found: int = 0
    """Participations of attackers that were accused."""
    planted: int = 0
    """Participations of attackers."""
    blamed: int = 0
    """Participations of honest clients that were accused."""
    honest: int = 0
    """Participations of honest clients."""

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


def try_methods(case: Case, methods: Sequence[str] = tuple(METHODS)) -> Mapping[str, Count]:
    """Run a training, judge each of its rounds, and return the counts of each method."""
    trained = trained_rounds(case)
    attackers = {str(client) for client in case.setting.attackers}
    counts = dict.fromkeys(methods, Count())
    for method in methods:
        params = METHODS[method]
        rounds = [stored(each, number, params.root) for number, each in enumerate(trained)]
        for number, each in enumerate(trained):
            present = {str(client) for client in each.clients}
            accused = set(accuse(rounds, number, params))
            bad = present & attackers
            counts[method] += Count(len(accused & bad), len(bad), len(accused - bad), len(present - bad))
    return counts


@cache
def trained_rounds(case: Case) -> Sequence[TrainedRound]:
    """Return the rounds of a training; each training is run once."""
    return list(train(case.setting))


def stored(trained: TrainedRound, number: int, root: str | None) -> RoundData:
    """Return a round as it is stored, with the server's own update under the name `root` if one is given."""
    names, rows = [str(client) for client in trained.clients], trained.deltas
    if root is not None and trained.root is not None:
        names, rows = [*names, root], np.vstack([rows, trained.root])
    return make_round(rows, names, number=number)


def accuse(rounds: Sequence[RoundData], number: int, params: MaliciousFilterParams) -> list[str]:
    """Return the clients that the workload accuses in a round."""
    params = replace(params, round=number)
    read = _FILTER.select(params, Index(committed=range(len(rounds))))
    context = Context(Job(JobId("job"), schema_of(9)), tuple(rounds[each] for each in read), Artifacts())
    return _FILTER.combine([], context, params).malicious
