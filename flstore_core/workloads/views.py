"""What a workload sees: the rounds of a job, one slice of its models, and the context in which it answers.

`RoundIndex` is known before anything is read: `select` chooses rounds from it. `RoundData` is a round that was read.
`SliceView` is what `map` sees in a shard, `Context` what `combine` sees in the gateway.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flstore_core.errors import NotEnoughData, unknown
from flstore_core.flat import FlatView
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.model_names import ModelName
from flstore_core.records import Job, Member, Round, Updates
from flstore_core.schema import Segment
from flstore_core.statistics import MOST_EXACT, RoundStatistics
from flstore_core.workloads.results import ArtifactWriter

Progress = Callable[[int, int], None]
"""Called with the number of steps done and of all steps; raises `OperationCancelled` to end the work."""


def no_progress(done: int, total: int) -> None:
    """Report progress to nobody."""


class RoundIndex(Protocol):
    """What is known about a job's rounds before any is read."""

    @property
    def committed(self) -> Sequence[int]:
        """Committed rounds, ascending."""

    @property
    def open(self) -> Sequence[int]:
        """Rounds that have updates and are not committed, ascending."""

    def rounds_of(self, client: str) -> Sequence[int]:
        """Return the committed rounds a client took part in, ascending; raise `NotFound` if there are none."""


@dataclass(frozen=True)
class RoundData:
    """A round as a workload sees it."""

    record: Round
    statistics: RoundStatistics | None = None
    """None where the workload did not ask for statistics."""
    updates: Updates = Updates.WEIGHTS
    """What clients sent."""

    @property
    def has_models(self) -> bool:
        """Whether each update stands for a model: one that is a difference does not where the round has no base."""
        return self.updates is Updates.WEIGHTS or self.record.base is not None

    def members(self, clients: Sequence[str] | None = None) -> tuple[Member, ...]:
        """Return the named clients' members, or all; raise `NotFound` for a client that is not in the round."""
        if clients is None:
            return self.record.members
        members = self.record.by_client
        for client in clients:
            if client not in members:
                raise unknown(f"client in round {self.record.number}", client, members)
        return tuple(members[ClientId(client)] for client in dict.fromkeys(clients))

    def deltas(self, clients: Sequence[str] | None = None, least: int = 1) -> RoundStatistics:
        """Return the statistics of the named clients, or of all clients of the round; never of its aggregate.

        Raises:
            NotEnoughData: if there are fewer than `least` clients, or the job keeps no statistics.
        """
        members = [member.client for member in self.members(clients)]
        if len(members) < least:
            raise NotEnoughData(f"round {self.record.number} has {len(members)} update(s); at least {least} are needed")
        return self._stored_statistics().take(members)

    def aggregate(self) -> tuple[RoundStatistics, NDArray[np.float64]]:
        """Return the statistics of every model of the round, and the weights of the aggregate's delta.

        The weights, shape (n,), combine the models' deltas to the aggregate's: they select its own row if it was
        stored, and are FedAvg's weights otherwise.
        """
        statistics = self._stored_statistics()
        if self.stores_aggregate:
            return statistics, np.array([float(member == AGGREGATE) for member in statistics.members])
        updates = self.deltas()
        return updates, fedavg_weights([self.record.by_client[client].num_examples for client in updates.members])

    @property
    def stores_aggregate(self) -> bool:
        """Whether the statistics have a row of the round's aggregate."""
        return AGGREGATE in self._stored_statistics().members

    def _stored_statistics(self) -> RoundStatistics:
        if self.statistics is None:
            raise NotEnoughData(
                f"the job keeps no statistics, or round {self.record.number} has more than {MOST_EXACT} models; "
                "create the job with statistics 'exact', and commit smaller rounds"
            )
        return self.statistics


def fedavg_weights(num_examples: Sequence[float]) -> NDArray[np.float64]:
    """Return FedAvg's weights, float64, shape (n,), summing to 1; equal ones where no client has examples."""
    examples = np.maximum(np.asarray(num_examples, np.float64), 0.0)
    if not examples.any():
        examples = np.ones(len(examples))
    return np.asarray(examples / examples.sum())


def unweighted(*averaged: Sequence[Member]) -> list[str]:
    """Return the clients that FedAvg's weights are equal for because they gave none, for `Weighted.unweighted`.

    Args:
        averaged: the updates that are averaged, those of each average by themselves.
    """
    lacking: set[ClientId] = set()
    for members in averaged:
        weights = {member.client: member.weight for member in members}
        all_zero = all(weight == 0 for weight in weights.values())  # so that equal weights are used
        lacking.update(client for client, weight in weights.items() if weight is None or all_zero)
    return sorted(lacking)


@dataclass(frozen=True)
class SliceMember:
    """A model that a workload reads a slice of."""

    round: int
    client: ClientId
    num_examples: float = 1.0
    weights: tuple[float, ...] = ()
    """Its weight in each weighted sum of models that `map` computes; empty unless `members` knows the weights."""


@dataclass(frozen=True)
class SliceView:
    """One slice of the models a workload reads, as `map` sees it.

    Attributes:
        members: the models, in the order of `rows`.
        rows: each model's slice of the flat vector; with its base added if what is stored is a difference.
        base: the same slice of the round's base; None if the round has none (deltas are then taken against zero).
        segments: the tensors of the whole flat vector, in its order.
    """

    members: tuple[SliceMember, ...]
    rows: tuple[FlatView, ...]
    base: FlatView | None = None
    segments: tuple[Segment, ...] = ()

    @property
    def num_examples(self) -> NDArray[np.float64]:
        """Each model's number of examples, float64, shape (n,)."""
        return np.array([member.num_examples for member in self.members])

    @property
    def weights(self) -> NDArray[np.float64]:
        """Each model's weight in each weighted sum, float64, shape (n, sums)."""
        return np.array([member.weights for member in self.members], np.float64)


@dataclass(frozen=True)
class Context:
    """What `combine` has to work with: the selected rounds, oldest first."""

    job: Job
    rounds: tuple[RoundData, ...]
    write_model: ArtifactWriter
    members: tuple[SliceMember, ...] = ()
    """The models whose slices `map` saw, in the same order."""
    models: tuple[ModelName, ...] = ()
    """The models that `run` could run, in the same order."""
    progress: Progress = no_progress
    """To be called between steps by work that takes more than a second."""

    @property
    def round(self) -> RoundData:
        """The one selected round."""
        (only,) = self.rounds
        return only
