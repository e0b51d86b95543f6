"""Which client's model is faulty, by differential testing of neuron activations; neither labels nor data are needed.

The method is FedDebug (Gill, Anwar and Gulzar 2023, ICSE, section IV-B). A neuron is active on an input if its output
is above a threshold. Models of benign clients mostly agree on which neurons are active. Each random input votes for the
client without which all others have the most active neurons in common. For the active neurons {1, 2, 3}, {1, 2, 4} and
{5, 6} of three clients, the others have 0, 0 and 2 neurons in common without the first, second and third one: the vote
goes to the third.
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

LEAST_CLIENTS = 3
"""Clients needed to find one faulty one: two that differ cannot tell which of them is at fault."""
MAJORITY = 0.5
"""A client is called faulty if its share of the votes is above this."""

Bits = NDArray[np.uint8]
"""Flags, eight in a byte."""


@dataclass(frozen=True)
class DebugParams(RoundParams):
    """How the clients' models are tested."""

    inputs: Annotated[int, Ge(1), Le(1_000)] = 10
    """Number of random inputs; each has one vote."""
    threshold: Annotated[float, Ge(0), Le(1e6)] = 0.003
    """Output above which a neuron counts as active; the default is the paper's."""
    faults: Annotated[int, Ge(1), Le(100)] = 1
    """Number of faulty clients to look for, one after the other."""
    dataset: str | None = None
    """Name of a stored data set; random inputs are uniform over the range of its inputs. By default they are uniform as
    in Kaiming's initialization."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the random inputs; the same seed gives the same answer."""


@dataclass(frozen=True)
class Suspect(Result):
    """The votes for one client."""

    client: str
    """Name of the client."""
    votes: float
    """Share of the inputs that vote for the client, 0 to 1."""
    common: float
    """Number of active neurons that all other clients have in common, averaged over the inputs."""


@dataclass(frozen=True)
class DebugResult(Result):
    """Which clients' models behave unlike the others'."""

    round: int
    """The round that was read."""
    faulty: list[str]
    """Clients that more than half of the inputs vote for, in the order in which they were found; empty if no client has
    such a majority."""
    suspects: list[Suspect]
    """One entry for each client, the most suspect first."""
    neurons: int
    """Number of neurons compared: those of all linear and convolutional layers."""


class Debug:
    """Which client's model is faulty, by differential testing of neuron activations on random inputs."""

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
        names = update_names(data, params.clients)
        if len(names) < (needed := LEAST_CLIENTS + params.faults - 1):
            raise NotEnoughData(
                f"round {data.record.number} has {len(names)} update(s); it takes {needed} to tell {params.faults} "
                "faulty client(s) from the others: lower faults, or name a round with more clients"
            )
        return names

    def datasets(self, params: DebugParams) -> Sequence[str]:
        return [params.dataset] if params.dataset else []

    def run(self, access: ModelAccess, params: DebugParams) -> Partial:
        inputs = random_inputs(access, params)
        active = []
        for done, name in enumerate(access.models):
            access.progress(done, len(access.models))
            active.append(activity(access.model(name), inputs, params.threshold))
        bits = np.stack([flags for flags, _ in active])
        _, neurons = active[0]
        return {"common": _common_by_fault(bits, params.faults), "neurons": np.array([neurons])}

    def combine(self, partials: Sequence[Partial], context: Context, params: DebugParams) -> DebugResult:
        (partial,) = partials
        common = partial["common"]
        votes = np.array([_votes(counts) for counts in common])
        clients = [str(name.client) for name in context.models]
        suspect_first = np.lexsort((-common[0].mean(axis=1), -votes.max(axis=0)))
        return DebugResult(
            round=context.round.record.number,
            faulty=[clients[shares.argmax()] for shares in votes if shares.max() > MAJORITY],
            suspects=[
                Suspect(clients[row], float(votes[:, row].max()), float(common[0][row].mean())) for row in suspect_first
            ],
            neurons=int(partial["neurons"][0]),
        )


def random_inputs(access: ModelAccess, params: DebugParams) -> list[NDArray[Any]]:
    """Return random inputs of the program's shapes; the same seed gives the same ones.

    Raises:
        InvalidParameters: if the program does not say shape or range of an input, and no data set does.
    """
    rng = np.random.default_rng(params.seed)
    examples = access.dataset(params.dataset)["inputs"] if params.dataset else None
    first, *more = access.inputs
    return [_random(first, examples, params.inputs, rng), *(_random(spec, None, params.inputs, rng) for spec in more)]


def _random(spec: InputSpec, examples: NDArray[Any] | None, count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return `count` random values of an input, in the range of the `examples`, if there are any."""
    sizes = spec.shape[1:] if examples is None else examples.shape[1:]
    shape = tuple(size for size in sizes if size is not None)
    if len(shape) != len(sizes):
        raise InvalidParameters(f"input {spec.name!r} has open sizes {spec.shape}; name a dataset to take them from")
    if examples is not None:
        return _uniform(examples, (count, *shape), spec.dtype, rng)
    if spec.dtype.kind != "f":
        raise InvalidParameters(f"input {spec.name!r} is {spec.dtype}; name a dataset to take its range from")
    bound = math.sqrt(6.0 / max(1, math.prod(shape[1:] or shape)))
    return rng.uniform(-bound, bound, (count, *shape)).astype(spec.dtype)


def _uniform(
    examples: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
) -> NDArray[Any]:
    low, high = examples.min(), examples.max()
    if dtype.kind in "iu":
        return rng.integers(int(low), int(high) + 1, shape).astype(dtype)
    return rng.uniform(float(low), float(high), shape).astype(dtype)


def activity(model: RunnableModel, inputs: Sequence[NDArray[Any]], threshold: float) -> tuple[Bits, int]:
    """Return which neurons are active as bits, shape (inputs, neurons / 8), and the number of neurons.

    Raises:
        InvalidParameters: if the program has no linear or convolutional layer.
    """
    outputs = model.neurons(*inputs)
    if not outputs:
        raise InvalidParameters("the program has no linear or convolutional layer whose neurons can be compared")
    active = np.concatenate([output.reshape(len(output), -1) > threshold for output in outputs.values()], axis=1)
    return np.packbits(active, axis=1), active.shape[1]


def common_without(active: Bits) -> NDArray[np.int64]:
    """Return the number of neurons that all clients but one have in common, shape (clients, inputs).

    Args:
        active: bits, shape (clients, inputs, neurons / 8).
    """
    # The AND of all but one is that of those before it and those after it: two passes instead of one for each client.
    # 255 has all bits set, which an AND leaves as they are.
    count = len(active)
    before, after = np.full_like(active, 255), np.full_like(active, 255)
    for row in range(1, count):
        np.bitwise_and(before[row - 1], active[row - 1], out=before[row])
        np.bitwise_and(after[count - row], active[count - row], out=after[count - row - 1])
    others = before & after
    return np.array([np.unpackbits(bits, axis=1).sum(axis=1, dtype=np.int64) for bits in others])


def _common_by_fault(active: Bits, faults: int) -> NDArray[np.int64]:
    """Return `common_without` for each fault looked for, shape (faults, clients, inputs).

    Each further fault is looked for among the clients that are left, without the one with the most votes so far; a
    client that is no longer among them has -1.
    """
    common = [common_without(active)]
    left = list(range(len(active)))
    for _ in range(faults - 1):
        left.pop(int(_votes(common[-1][left]).argmax()))
        counts = np.full_like(common[0], -1)
        counts[left] = common_without(active[left])
        common.append(counts)
    return np.stack(common)


def _votes(common: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each client's share of the votes, shape (clients,); clients that tie on an input share its vote."""
    most = common == common.max(axis=0)
    return np.asarray((most / most.sum(axis=0)).mean(axis=1), np.float64)
