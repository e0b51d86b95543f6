"""The aggregates without one client, from what the others sent.

Replay of the stored updates, and the calibration of FedEraser (Liu et al. 2021, IWQoS). Replay needs nobody's help, but
keeps what the others did in answer to the client's harm; calibration takes that away too, for a few further steps of
training by the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen, MinLen

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.ids import MAX_ROUND
from flstore_core.workloads import (
    ArtifactLink,
    Context,
    Needs,
    Params,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    SliceMember,
    SliceView,
)
from flstore_core.workloads.shared.counterfactual import calibrate_without, replay_without
from flstore_core.workloads.shared.origin import origin_of
from flstore_core.workloads.shared.weighted_models import (
    ModelSum,
    aggregate_sum,
    distances,
    map_sums,
    members_of_sums,
    vector_pieces,
)

RoundNumber = Annotated[int, Ge(0), Le(MAX_ROUND)]


@dataclass(frozen=True)
class UnlearnParams(Params):
    """Whom to forget, and how."""

    client: str
    """The client whose updates are left out."""
    method: Literal["replay", "calibrate"] = "replay"
    """`replay` adds up the others' stored updates from the client's first round on. `calibrate` adds up updates that
    the others trained from the unlearned model, each as long as the stored one it stands for."""
    last: RoundNumber | None = None
    """The round up to which is replayed; the newest committed one by default."""
    every: bool = False
    """Whether `replay` writes the model of every round from the client's first on, not of the last one alone."""
    calibrations: Annotated[list[Annotated[list[RoundNumber], MinLen(2), MaxLen(2)]], MaxLen(1000)] = field(
        default_factory=list
    )
    """For `calibrate`: pairs of a stored round and the committed round, in this job, that holds the others' calibration
    updates for it. The first pair's calibration starts from the unlearned model so far: its base."""

    def __post_init__(self) -> None:
        if (self.method == "calibrate") != bool(self.calibrations):
            raise InvalidParameters("calibrations are needed by method 'calibrate', and by it alone")


@dataclass(frozen=True)
class UnlearnedModel(Result):
    """The aggregate of one round without the client."""

    round: int
    """The round whose aggregate it replaces."""
    distance: float
    """Euclidean distance from the original aggregate."""
    artifact: ArtifactLink
    """The model."""


@dataclass(frozen=True)
class UnlearnResult(Result):
    """A client forgotten."""

    client: str
    """Whose updates were left out."""
    method: str
    """How."""
    rounds: list[int]
    """The rounds, of those gone through, that the client had taken part in."""
    models: list[UnlearnedModel]
    """The new aggregates, by round."""


class Unlearn:
    """The aggregates without one client, by replay of the others' updates or FedEraser's calibration."""

    name = "unlearn"
    pattern = Pattern.P2
    needs = Needs.WEIGHTS
    reads_base = False
    source = "Liu et al. 2021, FedEraser: Enabling Efficient Client-Level Data Removal, IWQoS"
    params = UnlearnParams
    result = UnlearnResult

    def select(self, params: UnlearnParams, index: RoundIndex) -> Sequence[int]:
        taken = index.rounds_of(params.client)
        if params.method == "calibrate":
            return _named(params, index)
        last = index.committed[-1] if params.last is None else params.last
        if last < taken[0]:
            raise NotEnoughData(f"client {params.client!r} first took part in round {taken[0]}, after round {last}")
        return [number for number in index.committed if taken[0] <= number <= last]

    def reads_statistics(self, params: UnlearnParams) -> bool:
        return params.method == "calibrate"

    def members(self, rounds: Sequence[RoundData], params: UnlearnParams) -> Sequence[SliceMember]:
        found = _sums(rounds, params)
        by_number = {data.record.number: data.record for data in rounds}
        examples = {(n, m.client): m.num_examples for n, record in by_number.items() for m in record.members}
        return members_of_sums([*found.values()], [aggregate_sum(by_number[number]) for number in found], examples)

    def map(self, view: SliceView, params: UnlearnParams) -> Partial:
        return map_sums(view)

    def combine(self, partials: Sequence[Partial], context: Context, params: UnlearnParams) -> UnlearnResult:
        numbers = list(_sums(context.rounds, params))
        metadata = origin_of(self.name, context, params).to_metadata()
        models = []
        for index, (number, distance) in enumerate(zip(numbers, distances(partials).tolist(), strict=True)):
            context.progress(index, len(numbers))
            link = context.write_model(vector_pieces(partials, index), {**metadata, "round": str(number)})
            models.append(UnlearnedModel(number, distance, link))
        context.progress(len(numbers), len(numbers))
        taken = [data.record.number for data in context.rounds if params.client in data.record.by_client]
        return UnlearnResult(params.client, params.method, taken, models)


def _named(params: UnlearnParams, index: RoundIndex) -> list[int]:
    wanted = sorted({number for pair in params.calibrations for number in pair})
    for number in wanted:
        if number not in index.committed:
            raise NotFound(f"round {number}, named in calibrations, is not committed")
    return wanted


def _sums(rounds: Sequence[RoundData], params: UnlearnParams) -> dict[int, ModelSum]:
    """Return the models to be written, by the round whose aggregate they replace."""
    if params.method == "calibrate":
        by_number = {data.record.number: data for data in rounds}
        pairs = [(by_number[stored], by_number[calibration]) for stored, calibration in params.calibrations]
        return {pairs[-1][0].record.number: calibrate_without(pairs, params.client)}
    found = replay_without([data.record for data in rounds], params.client)
    numbers = list(found) if params.every else list(found)[-1:]
    if not any(found[number] for number in numbers):
        raise NotEnoughData(f"nobody but client {params.client!r} took part: nothing is left without it")
    return {number: found[number] for number in numbers}
