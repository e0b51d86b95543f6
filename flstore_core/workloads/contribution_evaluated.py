"""What each client's update is worth, by evaluating aggregates of subsets: exact, truncated Monte Carlo, GTG-Shapley.

Exact Shapley values by enumeration up to 12 clients; TMC-Shapley (Ghorbani and Zou 2019, ICML); GTG-Shapley (Liu et al.
2022, ACM TIST), which skips rounds and tails of permutations that no longer change the utility, and has every client
begin equally often; leave-one-out. A subset's model is the FedAvg of its members' stored models, never trained anew.
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
    fedavg_weights,
    one_round,
)
from flstore_core.workloads.methods.gtg_shapley import gtg_shapley, tmc_shapley
from flstore_core.workloads.methods.shapley import MOST_EXACT, Estimate, exact, leave_one_out, one_by_one
from flstore_core.workloads.shared.named_models import update_names
from flstore_core.workloads.shared.scoring import Loss, examples, score


@dataclass(frozen=True)
class ContributionEvaluatedParams(RoundParams):
    """How contributions are measured."""

    method: Literal["gtg", "tmc", "exact", "leave-one-out"] = "gtg"
    """Exact takes 2^n evaluations and is for up to 12 clients."""
    utility: Literal["accuracy", "loss"] = "accuracy"
    """What a model is worth: its accuracy, or minus its loss."""
    dataset: str = "test"
    """The stored data set: `inputs` and `targets`."""
    permutations: Annotated[int, Ge(1), Le(100_000)] = 64
    """Most orders of the clients that are sampled."""
    tolerance: Annotated[float, Ge(0), Le(1)] = 0.001
    """Change of utility below which a round, or the rest of a permutation, is skipped."""
    seed: Annotated[int, Ge(0)] = 0
    """Of the sampled orders."""
    loss: Loss | None = None
    """Of the model's first output; by default cross-entropy for whole-number targets and mse for others."""
    batch_size: Annotated[int, Ge(1), Le(65_536)] = 256
    """Examples run at once."""


@dataclass(frozen=True)
class Share(Result):
    """What one client contributed."""

    client: str
    """The client."""
    value: float
    """Utility it added; all values add up to the round's gain, but for leave-one-out."""
    standard_error: float | None
    """Of a sampled value; null where it is exact."""


@dataclass(frozen=True)
class ContributionEvaluatedResult(Result):
    """What each client contributed to a round."""

    round: int
    """The round answered for."""
    method: str
    """How it was measured."""
    before: float
    """Utility of the model that the round started from."""
    after: float
    """Utility of the FedAvg of the clients' models."""
    shares: list[Share]
    """The largest first."""
    evaluations: int
    """Models that were evaluated."""


class ContributionEvaluated:
    """What each client's update is worth, by evaluating aggregates of subsets of the clients (Shapley values)."""

    name = "contribution-evaluated"
    pattern = Pattern.P2
    needs = Needs.MODEL
    source = "Liu et al. 2022, GTG-Shapley: Efficient and Accurate Participant Contribution Evaluation in FL, ACM TIST"
    params = ContributionEvaluatedParams
    result = ContributionEvaluatedResult

    def select(self, params: ContributionEvaluatedParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def models(self, rounds: Sequence[RoundData], params: ContributionEvaluatedParams) -> Sequence[ModelName]:
        (data,) = rounds
        found = update_names(data, params.clients)
        if len(found) < 2:
            raise NotEnoughData(f"round {data.record.number} has {len(found)} update(s); at least 2 are needed")
        if params.method == "exact" and len(found) > MOST_EXACT:
            raise InvalidParameters(f"exact values are for up to {MOST_EXACT} clients, these are {len(found)}; use gtg")
        if data.record.base is None:
            raise NotEnoughData(f"round {data.record.number} has no base model to compare with")
        return [*found, ModelName(data.record.base, AGGREGATE)]

    def datasets(self, params: ContributionEvaluatedParams) -> Sequence[str]:
        return [params.dataset]

    def run(self, access: ModelAccess, params: ContributionEvaluatedParams) -> Partial:
        *clients, base = access.models
        worth = _Worth(access, clients, base, params)
        values, errors = _values(worth, len(clients), params)
        ends = [worth(frozenset()), worth(frozenset(range(len(clients))))]
        return {"values": values, "errors": errors, "ends": np.array(ends), "count": np.array([len(worth.known)])}

    def combine(
        self, partials: Sequence[Partial], context: Context, params: ContributionEvaluatedParams
    ) -> ContributionEvaluatedResult:
        (partial,) = partials
        errors = [None if math.isnan(error) else error for error in partial["errors"].tolist()]
        named = zip(context.models, partial["values"].tolist(), errors, strict=False)
        shares = [Share(str(name.client), value, error) for name, value, error in named]
        return ContributionEvaluatedResult(
            round=context.round.record.number,
            method=params.method,
            before=float(partial["ends"][0]),
            after=float(partial["ends"][1]),
            shares=sorted(shares, key=lambda share: (-share.value, share.client)),
            evaluations=int(partial["count"][0]),
        )


@dataclass
class _Worth:
    """The utility of a subset's model, evaluated once."""

    access: ModelAccess
    clients: Sequence[ModelName]
    base: ModelName
    params: ContributionEvaluatedParams
    known: dict[frozenset[int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.most = most_evaluations(self.params, len(self.clients))
        self.data = examples(self.access, self.params.dataset, self.params.loss, self.params.batch_size)

    def __call__(self, subset: frozenset[int]) -> float:
        if subset not in self.known:
            self.access.progress(len(self.known), self.most)
            self.known[subset] = self._evaluate([self.clients[row] for row in sorted(subset)])
        return self.known[subset]

    def _evaluate(self, names: Sequence[ModelName]) -> float:
        access = self.access
        weights = fedavg_weights([access.num_examples(name) for name in names]) if names else np.zeros(0)
        parts = list(zip(weights.tolist(), names, strict=True))
        totals = score(access.mixture(parts) if parts else access.model(self.base), self.data)
        if self.params.utility == "loss":
            return -totals.mean_loss
        if totals.accuracy is None:
            raise InvalidParameters("the targets are no classes: there is no accuracy; set utility to loss")
        return totals.accuracy


def most_evaluations(params: ContributionEvaluatedParams, count: int) -> int:
    """Return how many subsets of `count` clients are evaluated at the most."""
    if params.method == "leave-one-out":
        return count + 2
    subsets = 1 << count
    return subsets if params.method == "exact" else min(subsets, 2 + max(params.permutations, 2) * (count - 1))


def _values(worth: _Worth, players: int, params: ContributionEvaluatedParams) -> Estimate:
    """Return the clients' values; their errors are NaN where the values are not sampled."""
    if params.method in ("exact", "leave-one-out"):
        method = exact if params.method == "exact" else leave_one_out
        return Estimate(method(one_by_one(worth), players), np.full(players, np.nan))
    sample = gtg_shapley if params.method == "gtg" else tmc_shapley
    rng = np.random.default_rng(params.seed)
    return sample(worth, players, max(params.permutations, 2), params.tolerance, rng)
