"""Whatever a job names as its `weight_key` weighs its clients in every workload, before the usual names."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from tests.gateway.answers.test_differences import of_metadata, of_weights
from tests.gateway.world import World, world
from tests.workloads.questions import assert_agree, questions

CLIENTS = 8


def metrics_of(client: int, number: int) -> dict[str, Any]:
    return {"loss": 1.0 / (1 + client + number), "accuracy": 1 / (1 + client), "duration_s": 1.0 + client}


def trained(weigh: Mapping[str, int], weight_key: str | None = None, given: Mapping[int, Any] | None = None) -> World:
    """Return a job of four rounds, the odd ones without an aggregate, whose clients weigh 1, 4, 9, …

    Args:
        weigh: the names of the metrics that hold the weights, each with what is added to it.
        given: what clients report in place of these weights, by their numbers; None for no such metric.
    """
    gateway = world()
    gateway.create(weight_key=weight_key)
    for number in range(4):
        for client in range(CLIENTS if number else 0):
            usual = {name: (1 + client) ** 2 + more for name, more in weigh.items()}
            weights = {name: (given or {}).get(client, weight) for name, weight in usual.items()}
            metrics = {name: weight for name, weight in weights.items() if weight is not None}
            gateway.put(number, f"c{client}", 3 * number + client, **metrics_of(client, number), **metrics)
        if number % 2 == 0:
            gateway.put_aggregate(number, 5 + number)
        gateway.commit(number, hyperparameters={"lr": 0.1 * number})
    return gateway


JOBS: Mapping[str, tuple[Mapping[str, int], str | None]] = {
    "usual": ({"num_examples": 0}, None),
    "of Flower": ({"num-examples": 0}, None),
    "named": ({"samples": 0}, "samples"),
    "named beside another": ({"samples": 0, "num_examples": 7}, "samples"),
    "missing": ({"num_examples": 0}, "samples"),
}


@cache
def job(name: str) -> World:
    return trained(*JOBS[name])


def asked() -> list[tuple[str, dict[str, Any]]]:
    """Return every question over records, statistics or weights, about what all jobs have."""
    about: dict[str, dict[str, Any]] = {"metrics": {"metrics": ["loss"]}, "inspect": {"round": 2}}
    every = [*of_metadata(), *questions(), *of_weights()]
    return [(name, {**params, **about.get(name, {})}) for name, params in every]


@pytest.mark.parametrize(("name", "params"), asked(), ids=str)
@pytest.mark.parametrize("other", [name for name in JOBS if name != "usual"])
def test_answers_do_not_depend_on_what_the_weight_is_called(other: str, name: str, params: dict[str, Any]) -> None:
    found, expected = (job(each).run(name, **params).result for each in (other, "usual"))
    assert_agree(found, expected, 1e-12)
