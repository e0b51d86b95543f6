"""The next round's clients: those whose models of a round do best on a stored data set.

Selection by measured accuracy, as in Power-of-Choice (Cho et al. 2022, AISTATS), which takes the highest local losses;
and in the accuracy-driven schedulers of FLStore (arXiv 2503.00323), which take the best models.
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
from flstore_core.workloads.shared.scoring import Loss, examples, from_arrays, score_all, to_arrays


@dataclass(frozen=True)
class ScheduleAccuracyParams(RoundParams):
    """How many clients are chosen, and by what."""

    k: Annotated[int, Ge(1), Le(10_000)] = 5
    """Clients to choose; all where the round has fewer."""
    dataset: str = "test"
    """The stored data set: `inputs` and `targets`."""
    prefer: Literal["best", "worst"] = "best"
    """`best` takes the lowest losses, `worst` the highest (Power-of-Choice)."""
    loss: Loss | None = None
    """Of the model's first output; by default cross-entropy for whole-number targets and mse for others."""
    batch_size: Annotated[int, Ge(1), Le(65_536)] = 256
    """Examples run at once."""


@dataclass(frozen=True)
class Ranked(Result):
    """One client's place."""

    client: str
    """The client."""
    accuracy: float | None
    """Of its model; null where the targets are no classes."""
    loss: float
    """Mean loss of its model."""
    chosen: bool
    """Whether it is among the k."""


@dataclass(frozen=True)
class ScheduleAccuracyResult(Result):
    """Whom to ask next."""

    round: int
    """The round answered for."""
    chosen: list[str]
    """The k clients, the most preferred first."""
    ranking: list[Ranked]
    """All clients, the most preferred first."""


class ScheduleAccuracy:
    """The next round's clients by how well their models do on a stored data set."""

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
        found = update_names(data, params.clients)
        if not found:
            raise NotEnoughData(f"round {data.record.number} has no clients to choose from")
        return found

    def datasets(self, params: ScheduleAccuracyParams) -> Sequence[str]:
        return [params.dataset]

    def run(self, access: ModelAccess, params: ScheduleAccuracyParams) -> Partial:
        data = examples(access, params.dataset, params.loss, params.batch_size)
        return to_arrays(score_all(access, data))

    def combine(
        self, partials: Sequence[Partial], context: Context, params: ScheduleAccuracyParams
    ) -> ScheduleAccuracyResult:
        (partial,) = partials
        sign = 1.0 if params.prefer == "best" else -1.0
        scored = zip(context.models, from_arrays(partial), strict=True)
        ordered = sorted(scored, key=lambda pair: (sign * pair[1].mean_loss, pair[0].client))
        ranking = [
            Ranked(str(name.client), totals.accuracy, totals.mean_loss, place < params.k)
            for place, (name, totals) in enumerate(ordered)
        ]
        return ScheduleAccuracyResult(
            context.round.record.number, [each.client for each in ranking if each.chosen], ranking
        )
