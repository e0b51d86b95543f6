"""Loss, accuracy and per-class figures of stored models on a stored data set.

The usual held-out evaluation of federated models: of the aggregate (McMahan et al. 2017, AISTATS) and of each client's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, MinLen
from numpy.typing import NDArray

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
    one_round,
)
from flstore_core.workloads.shared.named_models import aggregate_names, rounds_of_models, update_names
from flstore_core.workloads.shared.scoring import Loss, ScoreTotals, examples, from_arrays, score_all, to_arrays


@dataclass(frozen=True)
class EvaluateParams(RoundParams):
    """What is evaluated, and on what."""

    dataset: str = "test"
    """The stored data set: `inputs` and `targets`."""
    models: Annotated[list[str], MinLen(1)] | None = None
    """These models and no others: `12` (an aggregate), `12:client-7` (an update), `artifact:ID`."""
    aggregate: bool = True
    """Whether the round's aggregate is evaluated beside its clients' models."""
    loss: Loss | None = None
    """Of the model's first output; by default cross-entropy for whole-number targets and mse for others."""
    batch_size: Annotated[int, Ge(1), Le(65_536)] = 256
    """Examples run at once."""
    rows: Annotated[int, Ge(1)] | None = None
    """How many examples, from the first; all by default."""


@dataclass(frozen=True)
class ClassScore(Result):
    """How well a model tells one class."""

    label: int
    """The class."""
    examples: int
    """How many there are of it."""
    recall: float | None
    """Share of them that the model found; null where there are none."""
    precision: float | None
    """Share of what it took for this class that was; null where it took nothing for it."""


@dataclass(frozen=True)
class ModelScore(Result):
    """How well one model does."""

    model: str
    """Its name."""
    loss: float
    """Mean loss of a target."""
    accuracy: float | None
    """Share of targets met; null where the targets are no classes."""
    classes: list[ClassScore]
    """By class; empty where the targets are no classes."""


@dataclass(frozen=True)
class EvaluateResult(Result):
    """How well models do on a data set."""

    dataset: str
    """The data set."""
    loss: str
    """Which loss was taken."""
    examples: int
    """How many targets each model was held to."""
    models: list[ModelScore]
    """In the order asked for: clients by name, then the aggregate."""
    best: str
    """The model with the lowest loss."""


class Evaluate:
    """Loss, accuracy and per-class figures of stored models on a stored data set."""

    name = "evaluate"
    pattern = Pattern.P2
    needs = Needs.MODEL
    source = "McMahan et al. 2017, Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS"
    params = EvaluateParams
    result = EvaluateResult

    def select(self, params: EvaluateParams, index: RoundIndex) -> Sequence[int]:
        if params.models:
            return rounds_of_models([ModelName.parse(model) for model in params.models], index)
        return one_round(params, index)

    def models(self, rounds: Sequence[RoundData], params: EvaluateParams) -> Sequence[ModelName]:
        if params.models:
            return [ModelName.parse(model) for model in params.models]
        (data,) = rounds
        return [*update_names(data, params.clients), *(aggregate_names(data) if params.aggregate else [])]

    def datasets(self, params: EvaluateParams) -> Sequence[str]:
        return [params.dataset]

    def run(self, access: ModelAccess, params: EvaluateParams) -> Partial:
        data = examples(access, params.dataset, params.loss, params.batch_size, params.rows)
        return {**to_arrays(score_all(access, data)), "is_" + data.loss: np.ones(1)}

    def combine(self, partials: Sequence[Partial], context: Context, params: EvaluateParams) -> EvaluateResult:
        (partial,) = partials
        totals = from_arrays(partial)
        scores = [_model_score(name, each) for name, each in zip(context.models, totals, strict=True)]
        return EvaluateResult(
            dataset=params.dataset,
            loss=next(name.removeprefix("is_") for name in partial if name.startswith("is_")),
            examples=totals[0].targets,
            models=scores,
            best=min(scores, key=lambda each: each.loss).model,
        )


def _model_score(name: ModelName, totals: ScoreTotals) -> ModelScore:
    return ModelScore(str(name), totals.mean_loss, totals.accuracy, _class_scores(totals.confusion))


def _class_scores(confusion: NDArray[np.int64]) -> list[ClassScore]:
    found, there, taken = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return [
        ClassScore(label, int(there[label]), _share(found[label], there[label]), _share(found[label], taken[label]))
        for label in range(len(confusion))
    ]


def _share(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None
