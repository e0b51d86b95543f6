"""The faulty client of a round, by differential testing of neuron activations on generated inputs: no labels needed.

FedDebug (Gill, Anwar and Gulzar 2023, ICSE, section IV-B): on a random input, a neuron is active where its output is
over a threshold. Benign clients agree on which are; the client without which the others have the most neurons in common
is voted for, input by input.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters, NotEnoughData
from flstore_core.model_names import ModelName
from flstore_core.workloads import (
    Context,
    InputSpec,
    ModelAccess,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    RoundParams,
    RunnableModel,
    one_round,
)
from flstore_core.workloads.shared.named_models import update_names

LEAST = 3
MAX_VOTED = 0.5
"""Share of the votes from which on the client voted for is called faulty."""

Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class DebugParams(RoundParams):
    """How the clients' models are tested."""

    inputs: Annotated[int, Ge(1), Le(1_000)] = 10
    """Random inputs generated; each has one vote."""
    threshold: Annotated[float, Ge(0), Le(1e6)] = 0.003
    """Output over which a neuron counts as active; the paper's value."""
    faults: Annotated[int, Ge(1), Le(100)] = 1
    """Faulty clients looked for, one after the other."""
    dataset: str | None = None
    """A stored data set whose inputs' range the random ones take; without one they are drawn as Kaiming initialises."""
    seed: Annotated[int, Ge(0)] = 0
    """Of the random inputs."""


@dataclass(frozen=True)
class Suspect(Result):
    """What was found about one client."""

    client: str
    """The client."""
    votes: float
    """Share of the inputs on which the others have the most active neurons in common without it."""
    common: float
    """Active neurons that the others have in common, on average over the inputs."""


@dataclass(frozen=True)
class DebugResult(Result):
    """Which clients behave unlike the others."""

    round: int
    """The round answered for."""
    faulty: list[str]
    """Clients that more than half of the inputs vote for, in the order found; empty when the votes are scattered."""
    suspects: list[Suspect]
    """All clients, the most suspect first."""
    neurons: int
    """Neurons compared, of all linear and convolutional layers."""


class Debug:
    """The faulty client by differential testing of neuron activations on generated inputs."""

    name = "debug"
    pattern = Pattern.P2
    needs = Needs.MODEL
    source = "Gill et al. 2023, FedDebug: Systematic Debugging for Federated Learning Applications, ICSE"
    params = DebugParams
    result = DebugResult

    def select(self, params: DebugParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def models(self, rounds: Sequence[RoundData], params: DebugParams) -> Sequence[ModelName]:
        (data,) = rounds
        found = update_names(data, params.clients)
        if len(found) < (needed := LEAST + params.faults - 1):
            raise NotEnoughData(
                f"round {data.record.number} has {len(found)} update(s); it takes {needed} to tell {params.faults} "
                "faulty one(s) from the others"
            )
        return found

    def datasets(self, params: DebugParams) -> Sequence[str]:
        return [params.dataset] if params.dataset else []

    def run(self, access: ModelAccess, params: DebugParams) -> Partial:
        inputs = generated(access, params)
        active = []
        for done, name in enumerate(access.models):
            access.progress(done, len(access.models))
            active.append(activity(access.model(name), inputs, params.threshold))
        neurons = active[0][1]
        common = [common_without(np.stack([bits for bits, _ in active]))]
        rest = list(range(len(active)))
        for _ in range(params.faults - 1):
            rest.pop(int(_votes(common[-1][rest]).argmax()))
            counts = np.full_like(common[0], -1)
            counts[rest] = common_without(np.stack([active[row][0] for row in rest]))
            common.append(counts)
        return {"common": np.stack(common), "neurons": np.array([neurons])}

    def combine(self, partials: Sequence[Partial], context: Context, params: DebugParams) -> DebugResult:
        (partial,) = partials
        common = partial["common"]
        votes = np.array([_votes(counts) for counts in common])
        clients = [str(name.client) for name in context.models]
        order = np.lexsort((-common[0].mean(1), -votes.max(0)))
        return DebugResult(
            round=context.round.record.number,
            faulty=[clients[turn.argmax()] for turn in votes if turn.max() > MAX_VOTED],
            suspects=[Suspect(clients[row], float(votes[:, row].max()), float(common[0][row].mean())) for row in order],
            neurons=int(partial["neurons"][0]),
        )


def generated(access: ModelAccess, params: DebugParams) -> list[NDArray[Any]]:
    """Return random inputs of the program's shapes, the same for the same seed."""
    rng = np.random.default_rng(params.seed)
    known = access.dataset(params.dataset)["inputs"] if params.dataset else None
    first, *more = access.inputs
    return [_random(first, known, params.inputs, rng), *(_random(spec, None, params.inputs, rng) for spec in more)]


def _random(spec: InputSpec, known: NDArray[Any] | None, count: int, rng: np.random.Generator) -> NDArray[Any]:
    sizes = spec.shape[1:] if known is None else known.shape[1:]
    shape = tuple(size for size in sizes if size is not None)
    if len(shape) != len(sizes):
        raise InvalidParameters(f"input {spec.name!r} has open sizes {spec.shape}; name a dataset to take them from")
    if known is not None:
        low, high = known.min(), known.max()
        if spec.dtype.kind in "iu":
            return rng.integers(int(low), int(high) + 1, (count, *shape)).astype(spec.dtype)
        return rng.uniform(float(low), float(high), (count, *shape)).astype(spec.dtype)
    if spec.dtype.kind != "f":
        raise InvalidParameters(f"input {spec.name!r} is {spec.dtype}; name a dataset to take its range from")
    bound = math.sqrt(6.0 / max(1, math.prod(shape[1:] or shape)))
    return rng.uniform(-bound, bound, (count, *shape)).astype(spec.dtype)


def activity(model: RunnableModel, inputs: Sequence[NDArray[Any]], threshold: float) -> tuple[Bits, int]:
    """Return which neurons are active as bits, shape (inputs, neurons / 8), and how many neurons there are."""
    found = model.neurons(*inputs)
    if not found:
        raise InvalidParameters("the program has no linear or convolutional layer to look into")
    active = [(array.reshape(len(array), -1) > threshold) for array in found.values()]
    together = np.concatenate(active, axis=1)
    return np.packbits(together, axis=1), together.shape[1]


def common_without(active: Bits) -> NDArray[np.int64]:
    """Return how many neurons all clients but one have in common, shape (clients, inputs).

    Args:
        active: bits, shape (clients, inputs, neurons / 8).
    """
    count = len(active)
    before, after = np.full_like(active, 255), np.full_like(active, 255)
    for row in range(1, count):
        np.bitwise_and(before[row - 1], active[row - 1], out=before[row])
        np.bitwise_and(after[count - row], active[count - row], out=after[count - row - 1])
    rest = before & after
    return np.array([np.unpackbits(bits, axis=1).sum(1, dtype=np.int64) for bits in rest])


def _votes(common: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each client's share of the votes; clients that tie on an input share its vote."""
    most = common == common.max(0)
    return np.asarray((most / most.sum(0)).mean(1), np.float64)
