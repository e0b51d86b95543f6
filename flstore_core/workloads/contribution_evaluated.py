"""How much each client contributed to a round, by evaluating the aggregates of subsets of its clients.

The utility of a subset is the accuracy, or the negated loss, of the FedAvg of its clients' stored models on a data set;
nothing is trained anew. The utility of the empty subset is that of the round's base. The Shapley value of a client is
the utility that it adds when it joins, averaged over all orders of the clients. If the base has an accuracy of 0.5, `a`
alone 0.7, `b` alone 0.6 and both 0.7, then `a` adds 0.2 as the first and 0.1 as the second: its value is 0.15, and that
of `b` 0.05.

Exact values take 2^n evaluations. TMC-Shapley (Ghorbani and Zou 2019, ICML) and GTG-Shapley (Liu et al. 2022, ACM TIST)
sample orders instead; see `methods.gtg_shapley`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import InvalidParameters, NotEnoughData
from flstore_core.ids import AGGREGATE
from flstore_core.model_names import ModelName
from flstore_core.workloads import (
    Context,
    ModelAccess,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    RoundParams,
    RunnableModel,
    Weighted,
    fedavg_weights,
    one_round,
    unweighted,
)
from flstore_core.workloads.methods.gtg_shapley import gtg_shapley, tmc_shapley
from flstore_core.workloads.methods.shapley import MOST_EXACT, Estimate, exact, leave_one_out, one_by_one
from flstore_core.workloads.shared.named_models import update_names
from flstore_core.workloads.shared.scoring import Loss, check_loss, examples, score


@dataclass(frozen=True)
class ContributionEvaluatedParams(RoundParams):
    """How the utility of models is measured, and how it is divided among clients."""

    method: Literal["gtg", "tmc", "exact", "leave-one-out"] = "gtg"
    """`gtg`: GTG-Shapley; `tmc`: truncated Monte Carlo Shapley; `exact`: exact Shapley values, from 2^n evaluations and
    for up to 12 clients; `leave-one-out`: the utility that is lost without the client."""
    utility: Literal["accuracy", "loss"] = "accuracy"
    """Utility of a model: its accuracy, or its negated mean loss."""
    dataset: str = "test"
    """Name of a stored data set with the tensors `inputs` and `targets`."""
    permutations: Annotated[int, Ge(1), Le(100_000)] = 64
    """Number of orders of the clients that `gtg` and `tmc` sample; at least 2 are used."""
    tolerance: Annotated[float, Ge(0), Le(1)] = 0.001
    """`gtg` and `tmc` skip the rest of an order once its utility is within this of the full utility; `gtg` skips the
    round if its utility changed by no more than this."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the sampled orders; the same seed gives the same answer."""
    loss: Loss | None = None
    """Loss between the model's first output and the targets; by default `cross-entropy` for whole-number targets and
    `mse` for others."""
    batch_size: Annotated[int, Ge(1), Le(65_536)] = 256
    """Number of examples that the model is run on at once."""


@dataclass(frozen=True)
class Share(Result):
    """The contribution of one client."""

    client: str
    """Name of the client."""
    value: float
    """Utility that the client added. The values of all clients sum to `after` - `before`, except for `leave-one-out`
    and for orders that `tolerance` cuts short."""
    standard_error: float | None
    """Standard error of a sampled value; null for an exact one."""


@dataclass(frozen=True)
class ContributionEvaluatedResult(Weighted):
    """The contributions of all clients of a round."""

    round: int
    """The round that was read."""
    method: str
    """The method by which contributions were computed."""
    before: float
    """Utility of the round's base."""
    after: float
    """Utility of the FedAvg of the clients' models."""
    shares: list[Share]
    """One entry for each client, the greatest contribution first."""
    evaluations: int
    """Number of models that were evaluated."""


class ContributionEvaluated:
    """How much each client contributed to a round, by evaluating aggregates of subsets of clients (Shapley values)."""

    name = "contribution-evaluated"
    pattern = Pattern.P2
    needs = Needs.MODEL
    averages_models = True
    source = "Liu et al. 2022, GTG-Shapley: Efficient and Accurate Participant Contribution Evaluation in FL, ACM TIST"
    params = ContributionEvaluatedParams
    result = ContributionEvaluatedResult

    def select(self, params: ContributionEvaluatedParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def models(self, rounds: Sequence[RoundData], params: ContributionEvaluatedParams) -> Sequence[ModelName]:
        (data,) = rounds
        names = update_names(data, params.clients)
        if len(names) < 2:
            raise NotEnoughData(f"round {data.record.number} has {len(names)} update(s); at least 2 are needed")
        if params.method == "exact" and len(names) > MOST_EXACT:
            raise InvalidParameters(
                f"method 'exact' is for up to {MOST_EXACT} clients, these are {len(names)}; use method 'gtg'"
            )
        if data.record.base is None:
            raise NotEnoughData(f"round {data.record.number} has no base, whose utility is needed; name a later round")
        return [*names, ModelName(data.record.base, AGGREGATE)]

    def datasets(self, params: ContributionEvaluatedParams) -> Sequence[str]:
        return [params.dataset]

    def run(self, access: ModelAccess, params: ContributionEvaluatedParams) -> Partial:
        *clients, base = access.models
        worth = _Worth(access, clients, base, params)
        values, errors = _values(worth, len(clients), params)
        ends = [worth(frozenset()), worth(frozenset(range(len(clients))))]
        return {"values": values, "errors": errors, "ends": np.array(ends), "count": np.array([len(worth.evaluated)])}

    def combine(
        self, partials: Sequence[Partial], context: Context, params: ContributionEvaluatedParams
    ) -> ContributionEvaluatedResult:
        (partial,) = partials
        *clients, _ = context.models
        errors = [None if math.isnan(error) else error for error in partial["errors"].tolist()]
        shares = [
            Share(str(name.client), value, error)
            for name, value, error in zip(clients, partial["values"].tolist(), errors, strict=True)
        ]
        return ContributionEvaluatedResult(
            round=context.round.record.number,
            method=params.method,
            before=float(partial["ends"][0]),
            after=float(partial["ends"][1]),
            shares=sorted(shares, key=lambda share: (-share.value, share.client)),
            evaluations=int(partial["count"][0]),
            unweighted=unweighted(context.round.members(params.clients)),
        )


@dataclass
class _Worth:
    """The utility of the FedAvg of a subset of clients; each subset is evaluated once."""

    access: ModelAccess
    clients: Sequence[ModelName]
    base: ModelName
    """The model of the empty subset."""
    params: ContributionEvaluatedParams
    evaluated: dict[frozenset[int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.most = most_evaluations(self.params, len(self.clients))
        self.data = examples(self.access, self.params.dataset, self.params.loss, self.params.batch_size)

    def __call__(self, subset: frozenset[int]) -> float:
        if subset not in self.evaluated:
            self.access.progress(len(self.evaluated), self.most)
            self.evaluated[subset] = self._evaluate([self.clients[row] for row in sorted(subset)])
        return self.evaluated[subset]

    def _evaluate(self, names: Sequence[ModelName]) -> float:
        totals = score(self._fedavg(names) if names else self.access.model(self.base), self.data)
        if self.params.utility == "loss":
            check_loss(f"the aggregate of {', '.join(map(str, names)) or self.base}", totals)
            return -totals.mean_loss
        if totals.accuracy is None:
            raise InvalidParameters("the targets are not classes, so that there is no accuracy; set utility to 'loss'")
        return totals.accuracy

    def _fedavg(self, names: Sequence[ModelName]) -> RunnableModel:
        weights = fedavg_weights([self.access.num_examples(name) for name in names]).tolist()
        return self.access.mixture(list(zip(weights, names, strict=True)))


def most_evaluations(params: ContributionEvaluatedParams, count: int) -> int:
    """Return the greatest number of subsets of `count` clients that are evaluated."""
    if params.method == "leave-one-out":
        return count + 2
    subsets = 1 << count
    return subsets if params.method == "exact" else min(subsets, 2 + max(params.permutations, 2) * (count - 1))


def _values(worth: _Worth, players: int, params: ContributionEvaluatedParams) -> Estimate:
    """Return the clients' values and standard errors; errors are NaN for exact values."""
    if params.method in ("exact", "leave-one-out"):
        method = exact if params.method == "exact" else leave_one_out
        return Estimate(method(one_by_one(worth), players), np.full(players, np.nan))
    sample = gtg_shapley if params.method == "gtg" else tmc_shapley
    rng = np.random.default_rng(params.seed)
    return sample(worth, players, max(params.permutations, 2), params.tolerance, rng)
