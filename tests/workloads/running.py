"""A job in memory whose models run: round 0 holds the base, round 1 what clients sent and, perhaps, an aggregate."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.model_names import ModelName
from flstore_core.workloads import InputSpec, RoundData
from tests.fakes.models import Array, FakeAccess, Network
from tests.workloads.rounds import make_round, member, schema_of
from tests.workloads.stored import Stored

FLOATS = InputSpec("x", np.dtype(np.float32), (None, 2))
"""One input: any number of pairs of numbers."""


def running_job(
    network: Network,
    clients: Mapping[str, Any],
    *,
    base: Any = None,
    aggregate: Any = None,
    examples: Sequence[float] | None = None,
    datasets: Mapping[str, Mapping[str, Array]] | None = None,
    inputs: Sequence[InputSpec] = (FLOATS,),
) -> Stored:
    """Return a job whose models are flat vectors that `network` runs.

    Args:
        network: the program.
        clients: each client's flat parameters.
        base: the aggregate of round 0; without it there is no such round.
        aggregate: the aggregate of round 1, if it is stored.
        examples: each client's number of examples; 1 by default.
        datasets: tensors by data set and name.
        inputs: the program's inputs.
    """
    vectors = {ModelName(1, ClientId(name)): np.asarray(row, np.float32) for name, row in clients.items()}
    rounds = [_round(1, vectors, examples)] if clients else [make_round(np.zeros((1, 2)), [AGGREGATE], number=1)]
    if not clients:
        rounds = [replace(rounds[0], record=replace(rounds[0].record, members=()))]
    if aggregate is not None:
        vectors[ModelName(1)] = np.asarray(aggregate, np.float32)
        rounds[-1] = replace(rounds[-1], record=replace(rounds[-1].record, aggregate=member(AGGREGATE)))
    if base is not None:
        vectors[ModelName(0)] = np.asarray(base, np.float32)
        first = make_round(np.zeros((1, 2)), [AGGREGATE])
        first = replace(first, record=replace(first.record, members=(), aggregate=member(AGGREGATE)))
        rounds = [first, replace(rounds[-1], record=replace(rounds[-1].record, base=0))]
    counts = dict(zip(vectors, examples or (), strict=False))
    access = FakeAccess(network, vectors, inputs, counts, datasets or {})
    return Stored(schema_of(6), rounds, access=access)


def _round(number: int, vectors: Mapping[ModelName, Array], examples: Sequence[float] | None) -> RoundData:
    return make_round(
        np.stack(list(vectors.values())), [str(name.client) for name in vectors], number=number, examples=examples
    )
