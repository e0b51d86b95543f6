"""The next round's clients: those whose models do best, or worst, on a stored data set.

Power-of-Choice (Cho et al. 2022, AISTATS) chooses the clients with the highest losses, so that training catches up on
their data; the accuracy-driven schedulers of FLStore (arXiv 2503.00323) choose those with the best models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

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
from flstore_core.workloads.shared.named_models import update_names
from flstore_core.workloads.shared.scoring import Loss, check_loss, examples, from_arrays, score_all, to_arrays


@dataclass(frozen=True)
class ScheduleAccuracyParams(RoundParams):
    """How many clients are chosen, and by which order."""

    k: Annotated[int, Ge(1), Le(10_000)] = 5
    """Number of clients to choose; all of them if the round has fewer."""
    dataset: str = "test"
    """Name of a stored data set with the tensors `inputs` and `targets`."""
    prefer: Literal["best", "worst"] = "best"
    """`best`: the lowest losses first; `worst`: the highest losses first, as Power-of-Choice."""
    loss: Loss | None = None
    """Loss between the model's first output and the targets; by default `cross-entropy` for whole-number targets and
    `mse` for others."""
    batch_size: Annotated[int, Ge(1), Le(65_536)] = 256
    """Number of examples that the model is run on at once."""


@dataclass(frozen=True)
class Ranked(Result):
    """One client in the ranking."""

    client: str
    """Name of the client."""
    accuracy: float | None
    """Accuracy of its model, 0 to 1; null if the targets are not classes."""
    loss: float
    """Mean loss of its model over the targets."""
    chosen: bool
    """Whether the client is chosen."""


@dataclass(frozen=True)
class ScheduleAccuracyResult(Result):
    """The clients that should take part in the next round."""

    round: int
    """The round whose models were evaluated."""
    chosen: list[str]
    """The chosen clients, the most preferred first."""
    ranking: list[Ranked]
    """All clients, the most preferred first; clients of equal loss by name."""


class ScheduleAccuracy:
    """The next round's clients: those whose models do best, or worst, on a stored data set."""

    name = "schedule-accuracy"
    pattern = Pattern.P2
    needs = Needs.MODEL
    source = "Cho et al. 2022, Towards Understanding Biased Client Selection in Federated Learning, AISTATS"
    params = ScheduleAccuracyParams
    result = ScheduleAccuracyResult

    def select(self, params: ScheduleAccuracyParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def models(self, rounds: Sequence[RoundData], params: ScheduleAccuracyParams) -> Sequence[ModelName]:
        (data,) = rounds
        names = update_names(data, params.clients)
        if not names:
            raise NotEnoughData(f"round {data.record.number} has no clients to choose from; name another round")
        return names

    def datasets(self, params: ScheduleAccuracyParams) -> Sequence[str]:
        return [params.dataset]

    def run(self, access: ModelAccess, params: ScheduleAccuracyParams) -> Partial:
        data = examples(access, params.dataset, params.loss, params.batch_size)
        return to_arrays(score_all(access, data))

    def combine(
        self, partials: Sequence[Partial], context: Context, params: ScheduleAccuracyParams
    ) -> ScheduleAccuracyResult:
        (partial,) = partials
        scores = list(zip(context.models, from_arrays(partial), strict=True))
        for name, totals in scores:
            check_loss(str(name), totals)
        sign = 1.0 if params.prefer == "best" else -1.0
        preferred_first = sorted(scores, key=lambda score: (sign * score[1].mean_loss, score[0].client))
        ranking = [
            Ranked(str(name.client), totals.accuracy, totals.mean_loss, place < params.k)
            for place, (name, totals) in enumerate(preferred_first)
        ]
        return ScheduleAccuracyResult(
            round=context.round.record.number,
            chosen=[entry.client for entry in ranking if entry.chosen],
            ranking=ranking,
        )
