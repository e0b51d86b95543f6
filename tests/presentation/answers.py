"""The answer of every workload of the catalogue over one small job, as JSON: ten clients, of which one turned around.

`PLANTED` sends the opposite of what the others do, is slow, has the greatest loss, and its model is faulty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from flstore_core.ids import AGGREGATE
from flstore_core.records import Round
from flstore_core.workloads import InputSpec, RoundData, registry
from flstore_core.workloads.describe import dump, validate
from tests.fakes.models import Array, Layers, bigram, linear
from tests.workloads.questions import LEAST
from tests.workloads.rounds import make_round, member, schema_of
from tests.workloads.running import running_job
from tests.workloads.stored import Stored

PARAMETERS, ROUNDS, PLANTED_ROW = 120, 4, 3
NAMES = tuple(f"hospital-{row:02}-{side}"[:20] for row, side in enumerate(["north-wing", "south-wing"] * 5))
"""Ten names of 20 characters."""
PLANTED = NAMES[PLANTED_ROW]


def stored(names: Sequence[str] = NAMES) -> Stored:
    """Return a job of four rounds whose clients report metrics, and whose rounds have hyperparameters."""
    rng = np.random.default_rng(5)
    base = rng.standard_normal(PARAMETERS)
    direction = rng.standard_normal(PARAMETERS)
    models: dict[tuple[int, str], Any] = {}
    rounds = []
    for number in range(ROUNDS):
        rows = base + 0.1 * (direction + 0.3 * rng.standard_normal((len(names), PARAMETERS)))
        rows[PLANTED_ROW] = 2 * base - rows[PLANTED_ROW]
        aggregate = rows.mean(axis=0)
        data = make_round(rows, names, number=number, base=base, aggregate=aggregate)
        models |= {(number, name): row for name, row in zip((*names, AGGREGATE), (*rows, aggregate), strict=True)}
        rounds.append(RoundData(_reported(data.record, names, number), data.statistics))
        base = aggregate
    return Stored(schema_of(PARAMETERS), rounds, models)


def _reported(record: Round, names: Sequence[str], number: int) -> Round:
    def metrics(row: int) -> dict[str, Any]:
        planted = row == PLANTED_ROW
        seconds = 60.0 if planted else 10.0 + row / 10
        loss = (5.0 if planted else 1.0) / (1 + number)
        return {"num_examples": 10 + row, "loss": loss, "accuracy": 0.9 - loss / 10, "duration_s": seconds}

    members = tuple(member(name, metrics(row)) for row, name in enumerate(names))
    return replace(
        record,
        base=number - 1 if number else None,
        members=members,
        metrics={"loss": 2.0 / (1 + number), "accuracy": 0.5 + number / 10},
        hyperparameters={"learning_rate": 0.1 / (1 + number % 2), "optimizer": "adam"},
    )


def running(names: Sequence[str] = NAMES) -> Stored:
    """Return a job whose models run: linear ones, of which the planted client's is wrong."""
    rng = np.random.default_rng(6)
    inputs = rng.standard_normal((40, 2)).astype(np.float32)
    truth = np.array([[1.0, -2.0], [-1.0, 2.0], [0.5, 0.5]])
    clients = {name: (truth + 0.1 * rng.standard_normal(truth.shape)).ravel() for name in names}
    clients[names[PLANTED_ROW]] = -clients[names[PLANTED_ROW]]
    targets = (inputs @ truth.T).argmax(axis=1)
    datasets: dict[str, Mapping[str, Array]] = {"test": {"inputs": inputs, "targets": targets}}
    mean = np.mean(list(clients.values()), axis=0)
    return running_job(linear(2, 3), clients, base=np.zeros(6), aggregate=mean, datasets=datasets)


def faulty(names: Sequence[str] = NAMES) -> Stored:
    """Return a job whose models have the same active neurons, all but the planted client's."""

    def network(vector: Array, inputs: Sequence[Array]) -> tuple[Sequence[Array], Layers]:
        active = np.broadcast_to(vector[None, :], (len(inputs[0]), len(vector)))
        return [active], {"layer": active}

    clients = {name: [1.0, 1.0, -1.0, -1.0] for name in names}
    clients[names[PLANTED_ROW]] = [-1.0, -1.0, 1.0, 1.0]
    return running_job(network, clients)


def speaking() -> Stored:
    """Return a job of a small language model."""
    tokens = InputSpec("tokens", np.dtype(np.int64), (None, None))
    table = np.eye(6)[np.roll(np.arange(6), -1)] * 4.0
    return running_job(bigram(6), {"c": np.zeros(36)}, aggregate=table.ravel(), inputs=[tokens])


def questions(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return parameters for each workload that needs some."""
    planted = {"client": names[PLANTED_ROW]}
    return {
        **dict.fromkeys(("drift", "inspect", "reputation", "unlearn"), planted),
        "cosine-similarity": {"round": 1},
        "contribution-evaluated": {"dataset": "test"},
        "debug": {"round": 1, "inputs": 5},
        "evaluate": {"dataset": "test", "round": 1},
        "inference": {"dataset": "test", "rows": 4, "model": f"1:{names[0]}"},
        "llm-inference": {"prompts": [[1, 2], [4]], "max_new_tokens": 8},
        "malicious-filter": {"round": 1},
        "metrics": {"metrics": ["loss", "accuracy"], "group_by": ["round"]},
        "norms": {"models": [{"round": 1, "client": name} for name in names] + LEAST["norms"]["models"][1:]},
        "provenance": {"verify": True},
        "schedule-accuracy": {"dataset": "test", "k": 3},
        "schedule-clusters": {"count": 3},
        "schedule-performance": {"count": 3},
    }


_JOBS = {
    "contribution-evaluated": running,
    "debug": faulty,
    "evaluate": running,
    "inference": running,
    "schedule-accuracy": running,
}


@cache
def answer(name: str, names: Sequence[str] = NAMES) -> Any:
    """Return the answer of a workload of the catalogue as the gateway sends it; do not change it."""
    job = speaking() if name == "llm-inference" else _JOBS.get(name, stored)(names)
    workload = registry.get(name)
    return dump(job.ask_with(workload, validate(workload, questions(names).get(name, {}))))


def catalogue() -> list[str]:
    """Return the names of the built-in workloads."""
    return [name for name, each in registry.load().items() if type(each).__module__.startswith("flstore_core.")]
