"""Workloads run: what each kind of need reads, whom it asks, and when an answer is given again."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

import numpy as np
import pytest
from safetensors.numpy import load

from flstore_core import layout
from flstore_core.errors import (
    InsufficientCapacity,
    InvalidParameters,
    NoPredictor,
    NotEnoughData,
    NotFound,
    Unavailable,
)
from flstore_core.files import StoredFile
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.model_names import ModelName
from flstore_core.patterns import Pattern
from flstore_core.shard.protocol import Work
from flstore_core.storage.documents import save_json
from flstore_core.workloads import RoundData
from flstore_core.workloads.evaluate import Evaluate, EvaluateParams
from flstore_core.workloads.registry import AnyWorkload
from flstore_core.workloads.shared.scoring import ScoreTotals, to_arrays
from services.gateway.answers.execution import Outcome
from services.gateway.answers.gathering import ModelRuns
from services.gateway.answers.question import NotModified, Options, Question
from tests.fakes.engines import PredictorWire
from tests.fakes.store import Call
from tests.gateway.world import HOME, NAME, World, vector, world


@pytest.fixture
def filled() -> World:
    """A job with an initial model and two committed rounds of three clients."""
    gateway = world()
    gateway.create()
    gateway.put_aggregate(0, 6)
    gateway.commit(0)
    for number, first in ((1, 1), (2, 4)):
        gateway.fill(number, 3, first)
        gateway.commit(number)
    return gateway


def cosines(seeds: list[int], base: int) -> Any:
    """Return the cosine similarity of updates' deltas by its definition."""
    deltas = np.array([vector(seed) - vector(base) for seed in seeds])
    norms = np.linalg.norm(deltas, axis=1)
    return deltas @ deltas.T / np.outer(norms, norms)


def test_metadata_is_answered_from_records_alone(filled: World) -> None:
    filled.shards.trouble = Unavailable("no shard is needed")
    outcome = filled.run("metrics", metrics=["num_examples"], aggregations=["mean"], first=1)
    assert outcome.result["groups"][0]["values"]["num_examples"]["mean"] == 11.0
    assert outcome.rounds == (1, 2)
    execution = outcome.execution
    assert (execution.where, execution.backends, execution.slices) == ("gateway", (), 0)
    assert list(execution.seconds) == ["select", "records", "combine"]


def test_statistics_of_a_committed_round_wake_no_shard(filled: World) -> None:
    filled.shards.trouble = Unavailable("no shard is needed")
    outcome = filled.run("cosine-similarity", round=1)
    np.testing.assert_allclose(outcome.result["matrix"], cosines([1, 2, 3], 6), atol=1e-6)
    assert (outcome.execution.where, outcome.pattern, outcome.rounds) == ("gateway", Pattern.P2, (1,))
    assert (outcome.execution.work.hits, outcome.execution.work.misses) == (2, 0)


def test_statistics_of_an_open_round_come_from_its_shards(filled: World) -> None:
    filled.fill(3, 2, 1)
    outcome = filled.run("cosine-similarity", round=3)
    np.testing.assert_allclose(outcome.result["matrix"], cosines([1, 2], 6), atol=1e-6)
    assert outcome.etag is None
    execution = outcome.execution
    assert (execution.where, execution.backends, execution.slices) == ("shards", ("shard-0", "shard-1"), 2)
    assert execution.to_json()["shards"] == ["shard-0", "shard-1"]
    filled.put(3, "c9", 5)
    assert len(filled.run("cosine-similarity", round=3).result["matrix"]) == 3


def test_statistics_that_are_not_of_the_round_s_members_are_computed_again(filled: World) -> None:
    """Two gateways that commit one round at once may leave the statistics of the one and the record of the other."""
    filled.store.put(layout.statistics(HOME, 1), filled.store.contents[layout.statistics(HOME, 0)])
    filled.state.rounds.records.cache.discard_job(HOME)
    outcome = filled.run("cosine-similarity", round=1)
    np.testing.assert_allclose(outcome.result["matrix"], cosines([1, 2, 3], 6), atol=1e-6)
    assert outcome.execution.where == "shards"


@pytest.mark.parametrize("slices", [1, 2, 6])
def test_weights_are_mapped_by_the_shards_of_every_slice(slices: int) -> None:
    gateway = world(slices=slices)
    gateway.create()
    gateway.fill(0, 3)
    gateway.commit(0)
    outcome = gateway.run("aggregate", round=0)
    execution = outcome.execution
    assert (execution.where, execution.slices) == ("shards", slices)
    assert execution.backends == ("shard-0", "shard-1")[:slices]
    assert (execution.work.hits, execution.work.misses) == (3 * slices + 1, 0)
    assert "map" in execution.seconds
    key = layout.artifact(HOME, outcome.result["artifact"]["sha256"][:32])
    tensors = load(gateway.store.contents[key])
    mean = sum(weight * vector(seed) for weight, seed in zip((10, 11, 12), (1, 2, 3), strict=True)) / 33
    np.testing.assert_allclose(np.concatenate([tensors["bias"], tensors["weight"].ravel()]), mean, atol=1e-6)
    assert tensors["steps"] == 3, "integers are those of the update with most examples"


def test_a_workload_that_wants_no_model_asks_no_shard(filled: World) -> None:
    """Provenance, unless it is to make the model again."""
    link = filled.run("aggregate", round=1).result["artifact"]
    filled.shards.trouble = Unavailable("no shard is needed")
    outcome = filled.run("provenance", artifact=link["sha256"][:32], verify=False)
    assert (outcome.execution.where, outcome.execution.slices) == ("gateway", 0)


def test_deltas_are_taken_against_the_newest_round_s_base(filled: World) -> None:
    outcome = filled.run("aggregate", round=1, method="clipped-mean", clip=1e9)
    mean = np.mean([vector(seed) - vector(6) for seed in (1, 2, 3)], axis=0)
    assert outcome.result["moved"] == pytest.approx(float(np.linalg.norm(mean)), rel=1e-5)


def test_an_aggregate_and_a_model_of_an_open_round_are_read_like_updates(filled: World) -> None:
    """Inspecting them maps one model each: the sum of squares is that of the vectors."""
    filled.put_aggregate(3, 5)
    for name, seed in (("aggregate", 5), ("c9", 2)):
        if name == "c9":
            filled.put(3, name, seed)
        result = filled.run("inspect", round=3, client=name).result
        assert result["norm"] == pytest.approx(float(np.linalg.norm(vector(seed))), rel=1e-6), result


def test_a_shard_that_cannot_answer_fails_the_question(filled: World) -> None:
    filled.shards.trouble = InsufficientCapacity("the models do not fit together")
    with pytest.raises(InsufficientCapacity, match="do not fit together"):
        filled.run("aggregate", round=1)


# Answers given again


def test_a_question_over_committed_rounds_has_an_etag_of_all_it_follows_from(filled: World) -> None:
    etag = filled.run("aggregate", round=1).etag
    assert etag
    assert filled.run("aggregate", round=1).etag == etag
    others = {
        filled.run("aggregate", round=2).etag,
        filled.run("aggregate", round=1, method="median").etag,
        filled.run("cosine-similarity", round=1).etag,
    }
    assert None not in others
    assert len(others | {etag}) == 4


def test_an_erased_client_changes_the_etag(filled: World) -> None:
    etag = filled.run("cosine-similarity", round=1).etag
    filled.state.eraser.erase(NAME, ClientId("c1"))
    outcome = filled.run("cosine-similarity", round=1)
    assert outcome.etag != etag
    assert outcome.result["clients"] == ["c0", "c2"]


def test_a_job_made_anew_changes_the_etag(filled: World) -> None:
    etag = filled.run("metrics").etag
    filled.state.jobs.delete(NAME)
    filled.time.sleep(1.0)
    filled.create()
    filled.fill(0, 1)
    filled.commit(0)
    assert filled.run("metrics").etag != etag


def test_a_known_etag_raises_not_modified(filled: World) -> None:
    etag = filled.run("cosine-similarity", round=1).etag
    assert etag
    with pytest.raises(NotModified) as caught:
        filled.run("cosine-similarity", Options(known_etag=etag), round=1)
    assert caught.value.etag == etag
    filled.run("cosine-similarity", Options(known_etag="another"), round=1)


def slow(gateway: World) -> None:
    """Have every map take a second by the gateway's clock."""
    answer = gateway.shards.engine.map

    def map_slowly(request: Any) -> Any:
        gateway.time.sleep(1.0)
        return answer(request)

    gateway.shards.engine.map = map_slowly  # type: ignore[method-assign]


def test_an_answer_that_took_long_is_kept_and_given_again(filled: World) -> None:
    slow(filled)
    first = filled.run("aggregate", round=1)
    filled.shards.trouble = Unavailable("no shard is needed")
    again = filled.run("aggregate", round=1)
    assert (again.result, again.etag) == (first.result, first.etag)
    assert (first.execution.cached, again.execution.cached, again.execution.where) == (False, True, "gateway")
    assert first.execution.seconds["map"] == 2.0
    assert "map" not in again.execution.seconds
    assert first.execution.cost
    assert again.execution.cost
    assert again.execution.cost.ours.total < first.execution.cost.ours.total
    assert again.execution.cost.objstore == first.execution.cost.objstore, "an aggregator would have read it again"


def test_no_cache_has_an_answer_computed_again(filled: World) -> None:
    slow(filled)
    filled.run("aggregate", round=1)
    before = filled.time.now()
    again = filled.run("aggregate", Options(recompute=True), round=1)
    assert not again.execution.cached
    assert filled.time.now() == before + 2.0


# Models that are run


PARTIAL = {
    **to_arrays([ScoreTotals(3.0, 6, np.array([[2, 1], [0, 3]])), ScoreTotals(1.5, 6, np.array([[3, 0], [0, 3]]))]),
    "is_cross-entropy": np.ones(1),
}
WORK = Work(hits=3, misses=1, bytes_touched=40, bytes_fetched=10, fetch_s=0.5, compute_s=1.0)


def predicting(predictor: PredictorWire, **settings: Any) -> World:
    """Return a job with two updates, a program and a data set that only the predictor would look into."""
    gateway = world(predictor=predictor)
    gateway.create(**settings)
    gateway.fill(0, 2)
    gateway.commit(0)
    save_json(gateway.store, layout.program_record(HOME), asdict(StoredFile("program hash", 10, {}, 0.0)))
    save_json(gateway.store, layout.dataset_record(HOME, "test"), asdict(StoredFile("data hash", 10, {}, 0.0)))
    return gateway


def test_models_are_run_by_a_predictor() -> None:
    predictor = PredictorWire(PARTIAL, WORK)
    gateway = predicting(predictor)
    outcome = gateway.run("evaluate", round=0, dataset="test", aggregate=False)
    assert [(row["model"], row["loss"], row["accuracy"]) for row in outcome.result["models"]] == [
        ("0:c0", 0.5, 5 / 6),
        ("0:c1", 0.25, 1.0),
    ]
    execution = outcome.execution
    assert (execution.where, execution.backends, execution.slices) == ("predictors", ("predictor-0",), 1)
    assert execution.work.misses == 1
    assert "model" in execution.seconds
    (request,) = predictor.requests
    assert (request.program, request.datasets, request.workload) == ("program hash", {"test": "data hash"}, "evaluate")
    record = gateway.state.rounds.records.read_record(gateway.job, 0)
    assert record
    assert [(ref.name, ref.sha256, ref.num_examples) for ref in request.models] == [
        (ModelName(0, member.client), member.sha256, member.num_examples) for member in record.members
    ]


def test_models_that_are_run_weigh_what_their_job_names() -> None:
    nothing = {name: np.zeros(2) for name in ("values", "errors", "ends", "count")}
    predictor = PredictorWire(nothing, WORK)
    gateway = predicting(predictor, weight_key="samples")
    gateway.put_aggregate(1, 1)
    gateway.commit(1)
    for client, samples in (("a", 3), ("b", 0)):
        gateway.put(2, client, 2, samples=samples, num_examples=9)
    gateway.run("contribution-evaluated", round=2, dataset="test")
    (request,) = predictor.requests
    assert {str(ref.name): ref.num_examples for ref in request.models} == {"2:a": 3.0, "2:b": 0.0, "1": 1.0}


def test_models_of_a_committed_round_are_located_by_its_record_alone() -> None:
    predictor = PredictorWire(PARTIAL, WORK)
    gateway = predicting(predictor)
    gateway.put(1, "c0", 1)
    gateway.put_aggregate(1, 2)
    gateway.commit(1)
    gateway.store.delete(layout.member(HOME, 1, ClientId("c0")))
    gateway.store.delete(layout.member(HOME, 1, AGGREGATE))
    evaluate(gateway, round=1, aggregate=True)
    assert [str(ref.name) for ref in predictor.requests[-1].models] == ["1:c0", "1"]


def test_another_program_or_data_set_changes_the_etag() -> None:
    gateway = predicting(PredictorWire(PARTIAL, WORK))
    etags = {evaluate(gateway).etag}
    save_json(gateway.store, layout.program_record(HOME), asdict(StoredFile("another", 10, {}, 0.0)))
    etags.add(evaluate(gateway).etag)
    save_json(gateway.store, layout.dataset_record(HOME, "test"), asdict(StoredFile("another", 10, {}, 0.0)))
    etags.add(evaluate(gateway).etag)
    assert len(etags) == 3
    assert None not in etags


def evaluate(gateway: World, **params: Any) -> Outcome:
    return gateway.run("evaluate", **{"round": 0, "dataset": "test", "aggregate": False, **params})


def test_progress_of_a_run_is_handed_on() -> None:
    gateway = predicting(PredictorWire(PARTIAL, WORK, steps=3))
    steps: list[tuple[int, int]] = []
    options = Options(progress=lambda done, total: steps.append((done, total)))
    gateway.run("evaluate", options, round=0, dataset="test", aggregate=False)
    assert steps == [(0, 3), (1, 3), (2, 3)]


def test_named_models_are_found_wherever_they_lie() -> None:
    """In a round that was not selected, in an open one, as an aggregate, as an artifact."""
    predictor = PredictorWire(PARTIAL, WORK)
    gateway = predicting(predictor)
    gateway.put_aggregate(1, 3)
    artifact = gateway.run("aggregate", round=0).result["artifact"]["sha256"][:32]
    evaluate(gateway, round=None, models=["1", f"artifact:{artifact}"])
    aggregate, made = predictor.requests[0].models
    member = gateway.state.rounds.records.read_member(gateway.job, 1, aggregate.name.client)
    assert member
    assert (aggregate.name, aggregate.sha256) == (ModelName.parse("1"), member.sha256)
    assert (made.name.artifact, made.sha256, made.data_offset) == (artifact, artifact, None)


@pytest.mark.parametrize(
    ("model", "message"),
    [("0:c9", "stores no model '0:c9'"), ("0", "stores no model '0'")],
)
def test_a_model_that_is_not_stored_is_named(model: str, message: str) -> None:
    gateway = predicting(PredictorWire(PARTIAL, WORK))
    with pytest.raises(NotFound, match=message):
        evaluate(gateway, round=None, models=[model])


def test_an_artifact_that_is_not_stored_is_missed() -> None:
    gateway = predicting(PredictorWire(PARTIAL, WORK))
    with pytest.raises(NotFound):
        evaluate(gateway, round=None, models=["artifact:" + "0" * 32])


def test_without_program_data_set_models_or_predictor_nothing_is_run() -> None:
    gateway = predicting(PredictorWire(PARTIAL, WORK))
    with pytest.raises(NotFound, match="data set 'tset' does not exist; nearest: test"):
        evaluate(gateway, dataset="tset")
    gateway.state.rounds.store.delete(layout.program_record(HOME))
    with pytest.raises(NotFound, match="has no program; PUT /v1/jobs/job/model uploads one"):
        evaluate(gateway)
    without = world()
    without.create()
    without.fill(0, 1)
    without.commit(0)
    with pytest.raises(NoPredictor, match="'evaluate' runs models, and this deployment has no predictor"):
        evaluate(without)


class RunsNothing(Evaluate):
    """A workload of somebody's own that names no model."""

    def models(self, rounds: Sequence[RoundData], params: EvaluateParams) -> Sequence[ModelName]:
        return []


def test_a_workload_that_names_no_model_is_refused() -> None:
    gateway = predicting(PredictorWire(PARTIAL, WORK))
    runs = ModelRuns(gateway.state.rounds, gateway.state.programs, gateway.state.backends)
    workload = cast("AnyWorkload", RunsNothing())
    with pytest.raises(NotEnoughData, match="names no model to run"):
        runs.prepare(Question(gateway.job, workload, EvaluateParams(dataset="test"), ()))


# What cannot be asked


def test_unknown_jobs_workloads_rounds_and_clients_are_named(filled: World) -> None:
    with pytest.raises(NotFound, match="job 'jib' does not exist"):
        filled.state.runner.run("jib", "metrics", {}, Options())  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="workload 'metric' does not exist; nearest: metrics"):
        filled.run("metric")
    with pytest.raises(NotFound, match="round"):
        filled.run("cosine-similarity", round=7)
    with pytest.raises(NotFound, match="client in round 1 'c7'"):
        filled.run("cosine-similarity", round=1, clients=["c7"])
    with pytest.raises(InvalidParameters, match="round: "):
        filled.run("cosine-similarity", round="first")


def test_a_round_that_another_gateway_has_just_committed_is_found(filled: World) -> None:
    other = world(store=filled.store)
    assert other.run("cosine-similarity", round=2).rounds == (2,)
    filled.fill(3, 2, 1)
    filled.commit(3)
    assert other.run("cosine-similarity", round=3).rounds == (3,), "looked for again before it is called missing"


def test_records_are_read_from_the_store_once(filled: World) -> None:
    other = world(store=filled.store)
    reads: list[str] = []

    def note(call: Call) -> None:
        if "statistics" in call.key:
            reads.append(call.key)

    filled.store.before = note
    for _ in range(3):
        other.run("cosine-similarity", round=1)
    assert reads == [layout.statistics(HOME, 1)]


def test_provenance_reads_what_an_artifact_says_of_itself(filled: World) -> None:
    link = filled.run("aggregate", round=1, method="median").result["artifact"]
    lineage = filled.run("provenance", artifact=link["sha256"][:32], verify=True).result
    assert (lineage["workload"], lineage["verified"], lineage["changed"]) == ("aggregate", True, [])
    assert [entry["client"] for entry in lineage["inputs"]] == ["c0", "c1", "c2"]
    with pytest.raises(NotFound):
        filled.run("provenance", artifact="0" * 32)


def test_an_operation_runs_the_workload(filled: World) -> None:
    operation = filled.state.operations.start(NAME, "cosine-similarity", {"round": 1}, None, generation="g1")
    end = filled.state.operations.find_or_take_over(operation.id)
    assert end.state == "succeeded"
    assert end.result["result"] == filled.run("cosine-similarity", round=1).result
