"""Whatever clients may send, every workload answers in JSON, or refuses with an error that says what is wrong."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads import Needs, registry
from flstore_core.workloads.describe import dump
from flstore_core.workloads.norms import StoredModel
from tests.workloads.odd import histories
from tests.workloads.stored import Stored

REFUSALS = (InvalidParameters, NotEnoughData, NotFound)
AGGREGATION = ("fedavg", "median", "trimmed-mean", "geometric-median", "krum", "multi-krum", "bulyan", "clipped-mean")
CONTRIBUTION = ("alignment", "leave-one-out", "shapley", "monte-carlo")
QUESTIONS: dict[str, list[dict[str, Any]]] = {
    "aggregate": [{"method": method} for method in AGGREGATION],
    "clustering": [{}, {"method": "agglomerative", "metric": "euclidean"}, {"method": "cfl"}, {"clusters": 2}],
    "contribution": [{"method": method, "permutations": 20} for method in CONTRIBUTION],
    "convergence": [{}, {"better": "higher", "metric": "accuracy", "target": 0.5}],
    "cosine-similarity": [{}],
    "drift": [{"client": "a"}],
    "fairness": [{}, {"metric": "loss", "better": "lower"}],
    "hyperparameters": [{}, {"metric": "accuracy", "better": "higher", "relative": False}],
    "incentives": [{}, {"floor": 7, "cap": 10**6, "method": "shapley"}],
    "inspect": [{}, {"client": "a"}],
    "malicious-filter": [{}, {"method": "foolsgold"}, {"method": "flame"}, {"method": "fltrust", "root": "a"}],
    "metrics": [{}, {"group_by": ["device", "round"], "quantiles": [0.5]}, {"group_by": ["client", "loss"]}],
    "norms": [{"models": [StoredModel(0, "a"), StoredModel(0)]}, {"models": [StoredModel(1)]}],
    "personalize": [{}, {"global_share": 0.5, "method": "cfl"}],
    "provenance": [{}, {"verify": True, "last": 3}],
    "reputation": [{"client": "a"}, {"client": "a", "evidence": "filter"}],
    "schedule-clusters": [{}, {"clusters": 2, "tiers": 2}],
    "schedule-performance": [{}, {"candidates": ["a", "z"], "count": 2}, {"most_participations": 1}],
    "stragglers": [{}, {"metric": "loss"}],
    "unlearn": [{"client": "a"}, {"client": "a", "every": True}],
}
ODD = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def questions(*needs: Needs) -> Iterator[tuple[Any, dict[str, Any]]]:
    for name, several in QUESTIONS.items():
        if (workload := registry.get(name)).needs in needs:
            yield from ((workload, params) for params in several)


def answer(stored: Stored, workload: Any, params: dict[str, Any], slices: int = 1) -> Any:
    """Return the answer as JSON, or the refusal's class; any other exception is the test's failure."""
    try:
        return json.loads(json.dumps(dump(stored.ask(workload, slices, **params)), allow_nan=False))
    except REFUSALS as refusal:
        return type(refusal)


@given(stored=histories())
@ODD
def test_every_question_over_records_and_statistics_is_answered_or_refused(stored: Stored) -> None:
    for workload, params in questions(Needs.METADATA, Needs.STATISTICS):
        answer(stored, workload, params)


@given(stored=histories(3))
@ODD
def test_every_question_over_weights_is_answered_or_refused_alike_for_any_number_of_slices(stored: Stored) -> None:
    for workload, params in questions(Needs.WEIGHTS):
        whole, cut = (answer(stored, workload, params, slices) for slices in (1, 3))
        assert type(whole) is type(cut), (workload.name, params, whole, cut)


def test_every_workload_that_runs_no_model_is_asked() -> None:
    without_models = {name for name, workload in registry.load().items() if workload.needs is not Needs.MODEL}
    assert without_models - set(QUESTIONS) <= {"longest-updates", "signs"}
