"""How well stored models do on a stored data set: loss, accuracy, and recall and precision of each class.

This is the held-out evaluation of federated learning, of the aggregate (McMahan et al. 2017, AISTATS) and of each
client's model. The predictor counts targets by true and predicted class; accuracy, recall and precision follow from
these counts. If 8 of the 10 examples of a class are recognized, and 8 of other classes are taken for it, its recall is
8 / 10 = 0.8 and its precision 8 / 16 = 0.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, MinLen
from numpy.typing import NDArray

from flstore_core.errors import NotEnoughData
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
from flstore_core.workloads.shared.scoring import (
    Loss,
    ScoreTotals,
    check_loss,
    examples,
    from_arrays,
    score_all,
    to_arrays,
)

_LOSS_PREFIX = "is_"
"""An array of this name and the loss tells `combine` which loss was used: partials are arrays only."""


@dataclass(frozen=True)
class EvaluateParams(RoundParams):
    """Which models are evaluated, on which data."""

    dataset: str = "test"
    """Name of a stored data set with the tensors `inputs` and `targets`."""
    models: Annotated[list[str], MinLen(1)] | None = None
    """Names of the models to evaluate, in place of a round's: `12` (an aggregate), `12:client-7` (an update),
    `artifact:ID`."""
    aggregate: bool = True
    """Whether the round's aggregate is evaluated too, if it is stored."""
    loss: Loss | None = None
    """Loss between the model's first output and the targets; by default `cross-entropy` for whole-number targets and
    `mse` for others."""
    batch_size: Annotated[int, Ge(1), Le(65_536)] = 256
    """Number of examples that the model is run on at once."""
    rows: Annotated[int, Ge(1)] | None = None
    """Number of examples to use, from the first; all by default."""


@dataclass(frozen=True)
class ClassScore(Result):
    """How well a model recognizes one class."""

    label: int
    """Number of the class."""
    examples: int
    """Number of examples of this class."""
    recall: float | None
    """Share of these examples that the model predicts as this class, 0 to 1; null if there are none."""
    precision: float | None
    """Share of the examples predicted as this class that belong to it, 0 to 1; null if none is predicted so."""


@dataclass(frozen=True)
class ModelScore(Result):
    """How well one model does."""

    model: str
    """Name of the model."""
    loss: float
    """Mean loss over the targets."""
    accuracy: float | None
    """Share of targets predicted correctly, 0 to 1; null if the targets are not classes."""
    classes: list[ClassScore]
    """One entry for each class; empty if the targets are not classes, or if there are more than 4,096 classes."""


@dataclass(frozen=True)
class EvaluateResult(Result):
    """How well models do on a data set."""

    dataset: str
    """Name of the data set."""
    loss: str
    """The loss that was used."""
    examples: int
    """Number of targets of each model."""
    models: list[ModelScore]
    """One entry for each model: in the order of `models`, or clients by name and then the aggregate."""
    best: str
    """Name of the model with the lowest loss; the first of several."""


class Evaluate:
    """How well stored models do on a stored data set: loss, accuracy, and recall and precision of each class."""

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
        names = [*update_names(data, params.clients), *(aggregate_names(data) if params.aggregate else [])]
        if not names:
            raise NotEnoughData(f"round {data.record.number} has no model to evaluate; name another round, or models")
        return names

    def datasets(self, params: EvaluateParams) -> Sequence[str]:
        return [params.dataset]

    def run(self, access: ModelAccess, params: EvaluateParams) -> Partial:
        data = examples(access, params.dataset, params.loss, params.batch_size, params.rows)
        return {**to_arrays(score_all(access, data)), _LOSS_PREFIX + data.loss: np.ones(1)}

    def combine(self, partials: Sequence[Partial], context: Context, params: EvaluateParams) -> EvaluateResult:
        (partial,) = partials
        totals = from_arrays(partial)
        scores = [_model_score(str(name), scored) for name, scored in zip(context.models, totals, strict=True)]
        return EvaluateResult(
            dataset=params.dataset,
            loss=next(name.removeprefix(_LOSS_PREFIX) for name in partial if name.startswith(_LOSS_PREFIX)),
            examples=totals[0].targets,
            models=scores,
            best=min(scores, key=lambda score: score.loss).model,
        )


def _model_score(name: str, totals: ScoreTotals) -> ModelScore:
    check_loss(name, totals)
    return ModelScore(name, totals.mean_loss, totals.accuracy, _class_scores(totals.confusion))


def _class_scores(confusion: NDArray[np.int64]) -> list[ClassScore]:
    """Return the score of each class; none where the totals do not count by class."""
    if confusion.shape[0] != confusion.shape[1]:
        return []
    correct, examples, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        ClassScore(label, int(count), _share(right, count), _share(right, guesses))
        for label, (right, count, guesses) in enumerate(zip(correct, examples, predicted, strict=True))
    ]


def _share(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None
