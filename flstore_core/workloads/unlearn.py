"""What the aggregates would be had one client never taken part.

- `replay` repeats every round since the client's first one, with the others' stored updates alone. It needs no further
  training. Its limit: the others' updates were trained from aggregates that contained the client's influence.
- `calibrate` removes that influence too, as FedEraser does (Liu et al. 2021, IWQoS): the other clients train a little
  from the unlearned model, and each of their new updates is scaled to the length of the stored one it replaces.

The algebra, with an example, is in `shared.counterfactual`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen, MinLen

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.ids import MAX_ROUND
from flstore_core.records import Member
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
    Weighted,
    unweighted,
)
from flstore_core.workloads.shared.counterfactual import (
    averaged_without,
    calibrate_without,
    calibrated_members,
    replay_without,
)
from flstore_core.workloads.shared.origin import origin_of
from flstore_core.workloads.shared.weighted_models import (
    ModelSum,
    aggregate_sum,
    averaged_members,
    distances,
    map_sums,
    members_of_sums,
    vector_pieces,
)

RoundNumber = Annotated[int, Ge(0), Le(MAX_ROUND)]


@dataclass(frozen=True)
class UnlearnParams(Params):
    """Which client is unlearned, and by which method."""

    client: str
    """The client whose updates are left out."""
    method: Literal["replay", "calibrate"] = "replay"
    """`replay`: sums the others' stored updates from the client's first round on. `calibrate`: sums updates that the
    others trained from the unlearned model, each scaled to the length of the stored update that it replaces."""
    last: RoundNumber | None = None
    """The last round that `replay` repeats; the newest committed one by default."""
    every: bool = False
    """Whether `replay` stores the model of every round from the client's first on, or of the last round only."""
    calibrations: Annotated[list[Annotated[list[RoundNumber], MinLen(2), MaxLen(2)]], MaxLen(1000)] = field(
        default_factory=list
    )
    """For `calibrate`: pairs of a stored round and of the committed round of this job with the others' calibration
    updates for it. The base of the first pair's calibration round is the unlearned model to start from."""

    def __post_init__(self) -> None:
        if self.method == "calibrate" and not self.calibrations:
            raise InvalidParameters("method 'calibrate' needs calibrations: pairs [stored round, calibration round]")
        if self.method != "calibrate" and self.calibrations:
            raise InvalidParameters(
                f"calibrations are for method 'calibrate' alone; leave them out with {self.method!r}"
            )


@dataclass(frozen=True)
class UnlearnedModel(Result):
    """The aggregate of one round without the client."""

    round: int
    """The round whose aggregate it replaces."""
    distance: float
    """Euclidean distance from the original aggregate."""
    artifact: ArtifactLink
    """Where the model is stored."""


@dataclass(frozen=True)
class UnlearnResult(Weighted):
    """The aggregates without one client."""

    client: str
    """The client whose updates were left out."""
    method: str
    """The method by which it was unlearned."""
    rounds: list[int]
    """The rounds that were read and that the client took part in."""
    models: list[UnlearnedModel]
    """The new aggregates, by round ascending."""


class Unlearn:
    """What the aggregates would be had one client never taken part."""

    name = "unlearn"
    pattern = Pattern.P2
    needs = Needs.WEIGHTS
    reads_base = False
    against_zero = True
    source = "Liu et al. 2021, FedEraser: Enabling Efficient Client-Level Data Removal, IWQoS"
    params = UnlearnParams
    result = UnlearnResult

    def select(self, params: UnlearnParams, index: RoundIndex) -> Sequence[int]:
        first, *_ = index.rounds_of(params.client)
        if params.method == "calibrate":
            return _calibration_rounds(params, index)
        last = index.committed[-1] if params.last is None else params.last
        if last < first:
            raise NotEnoughData(
                f"client {params.client!r} first took part in round {first}, after round {last}; raise last"
            )
        return [number for number in index.committed if first <= number <= last]

    def reads_statistics(self, params: UnlearnParams) -> bool:
        return params.method == "calibrate"

    def members(self, rounds: Sequence[RoundData], params: UnlearnParams) -> Sequence[SliceMember]:
        models = _unlearned(rounds, params)
        records = {data.record.number: data.record for data in rounds}
        examples = {(number, m.client): m.num_examples for number, record in records.items() for m in record.members}
        return members_of_sums([*models.values()], [aggregate_sum(records[number]) for number in models], examples)

    def map(self, view: SliceView, params: UnlearnParams) -> Partial:
        return map_sums(view)

    def combine(self, partials: Sequence[Partial], context: Context, params: UnlearnParams) -> UnlearnResult:
        numbers = list(_unlearned(context.rounds, params))
        metadata = origin_of(self.name, context, params).to_metadata()
        models = []
        for index, (number, distance) in enumerate(zip(numbers, distances(partials).tolist(), strict=True)):
            context.progress(index, len(numbers))
            link = context.write_model(vector_pieces(partials, index), {**metadata, "round": str(number)})
            models.append(UnlearnedModel(number, distance, link))
        context.progress(len(numbers), len(numbers))
        participations = [data.record.number for data in context.rounds if params.client in data.record.by_client]
        return UnlearnResult(
            client=params.client,
            method=params.method,
            rounds=participations,
            models=models,
            unweighted=unweighted(*_averaged(context.rounds, params, numbers)),
        )


def _calibration_rounds(params: UnlearnParams, index: RoundIndex) -> list[int]:
    """Return every round that the calibrations name; raise `NotFound` for one that is not committed."""
    numbers = sorted({number for pair in params.calibrations for number in pair})
    for number in numbers:
        if number not in index.committed:
            raise NotFound(f"round {number} in calibrations is not committed; commit it, or name another")
    return numbers


def _averaged(rounds: Sequence[RoundData], params: UnlearnParams, numbers: Sequence[int]) -> Iterator[Sequence[Member]]:
    """Yield the members of each FedAvg that the models, or the aggregates of `numbers` they replace, are made of."""
    records = {data.record.number: data.record for data in rounds}
    yield from (averaged_members(records[number]) for number in numbers)
    if params.method == "calibrate":
        for stored, calibration in params.calibrations:
            yield calibrated_members(records[stored], records[calibration], params.client)
    else:
        yield from (averaged_without(record, params.client) for record in records.values())


def _unlearned(rounds: Sequence[RoundData], params: UnlearnParams) -> dict[int, ModelSum]:
    """Return the models to store, by the round whose aggregate each replaces.

    Raises:
        NotEnoughData: if no other client took part.
    """
    if params.method == "calibrate":
        by_number = {data.record.number: data for data in rounds}
        pairs = [(by_number[stored], by_number[calibration]) for stored, calibration in params.calibrations]
        return {pairs[-1][0].record.number: calibrate_without(pairs, params.client)}
    replayed = replay_without([data.record for data in rounds], params.client)
    numbers = list(replayed) if params.every else list(replayed)[-1:]
    if not any(replayed[number] for number in numbers):
        raise NotEnoughData(f"no client but {params.client!r} took part: without it nothing is left to aggregate")
    return {number: replayed[number] for number in numbers}
