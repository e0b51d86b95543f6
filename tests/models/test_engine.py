"""The predictor's engine over a store in memory: whole models, cached under a budget, run as PyTorch runs them."""

import hashlib
import random
from typing import Any

import numpy as np
import pytest
import torch

from flstore_core import codec, layout
from flstore_core.cache import Cache, Ledger
from flstore_core.errors import (
    InsufficientCapacity,
    InvalidParameters,
    InvalidProgram,
    NotEnoughData,
    NotFound,
    RunTooLong,
    SchemaMismatch,
    Unavailable,
)
from flstore_core.files import FileName, Files
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.model_names import ModelName
from flstore_core.models.base import Processes
from flstore_core.models.engine import Engine
from flstore_core.models.library import DATASET, HEADER_GUESS, PROGRAM, Item, Library, Tally
from flstore_core.models.protocol import ModelRef, RunRequest
from flstore_core.models.running import Limits
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.policies.registry import make_policy
from flstore_core.records import Job, to_bytes
from flstore_core.schema import Schema, TensorSpec
from tests.fakes.processes import OwnProcesses
from tests.fakes.store import MemoryStore
from tests.models.small import (
    DATA,
    HOME,
    JOB,
    SCHEMA,
    commit,
    network,
    output_of,
    program,
    put_dataset,
    put_model,
    world,
)

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
AGGREGATE_1 = ModelName(1)
A, B = ModelName(1, ClientId("a")), ModelName(1, ClientId("b"))


def engine(
    store: MemoryStore, budget: int = 10**7, limits: Limits | None = None, processes: Processes | None = None
) -> Engine:
    clock = iter(range(10**9)).__next__
    cache: Cache[Item] = Cache(Ledger(make_policy("lru", budget, clock, random.Random(0)), budget, clock))
    return Engine(store, cache, processes or OwnProcesses(), limits)


def request(shard: Engine, *names: ModelName, workload: str = "inference", **changes: Any) -> RunRequest:
    job = shard.library.jobs.get(JOB)
    refs = tuple(shard.library.locate(job, name) for name in names)
    fields = {
        "job": JOB,
        "digest": SCHEMA.digest,
        "program": hashlib.sha256(program()).hexdigest(),
        "datasets": {},
        "workload": workload,
        "pattern": Pattern.P1,
        "params": {},
        "models": refs,
    }
    return RunRequest(**{**fields, **changes})


def reads(store: MemoryStore) -> list[str]:
    """Return a list that fills with the keys that are read from now on."""
    keys: list[str] = []
    store.before = lambda call: keys.append(call.key)
    return keys


def test_a_model_gives_what_pytorch_gives_and_is_read_once() -> None:
    store = world()
    predictor = engine(store)
    wanted = request(predictor, AGGREGATE_1, A)
    access = predictor.access(wanted)
    np.testing.assert_allclose(access.model(AGGREGATE_1)(ROWS)[0], output_of(10, ROWS), rtol=1e-5)
    np.testing.assert_allclose(access.model(A)(ROWS)[0], output_of(11, ROWS), rtol=1e-5)
    assert (access.tally.work.hits, access.tally.work.misses) == (0, 3)
    keys = reads(store)
    again = predictor.access(wanted)
    again.model(A)
    again.model(AGGREGATE_1)
    assert keys == []
    assert (again.tally.work.hits, again.tally.work.misses, again.tally.work.bytes_fetched) == (3, 0, 0)


def test_a_mixture_is_the_model_of_the_averaged_weights() -> None:
    predictor = engine(world())
    access = predictor.access(request(predictor, A, B))
    np.testing.assert_allclose(access.mixture([(1.0, A), (0.0, B)])(ROWS)[0], output_of(11, ROWS), rtol=1e-5)
    half = network(11)
    for name, tensor in half.state_dict().items():
        tensor.mul_(0.5).add_(0.5 * network(12).state_dict()[name])
    expected = half(torch.from_numpy(ROWS.copy())).detach().numpy()
    np.testing.assert_allclose(access.mixture([(0.5, A), (0.5, B)])(ROWS)[0], expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(NotEnoughData, match="a mixture needs at least one model"):
        access.mixture([])


def test_only_what_the_request_names_can_be_reached() -> None:
    store = world()
    predictor = engine(store)
    sha256 = put_dataset(store, "test", DATA)
    access = predictor.access(request(predictor, A, datasets={"test": sha256}))
    assert list(access.models) == [A]
    assert access.num_examples(A) == 11.0
    np.testing.assert_array_equal(access.dataset("test")["targets"], DATA["targets"])
    with pytest.raises(NotFound, match="model '1:b' is not in the request"):
        access.model(B)
    with pytest.raises(NotFound, match="data set 'other' is not in the request"):
        access.dataset("other")


def test_inputs_are_described() -> None:
    predictor = engine(world())
    (spec,) = predictor.access(request(predictor)).inputs
    assert (spec.dtype, spec.shape) == (np.dtype(np.float32), (None, 4))


def test_a_workload_runs_and_reports_progress() -> None:
    store = world()
    predictor = engine(store)
    sha256 = put_dataset(store, "test", DATA)
    running = predictor.begin()
    asked = request(predictor, A, B, workload="evaluate", params={"dataset": "test"}, datasets={"test": sha256})
    answer = predictor.run(asked, running)
    partial, _ = codec.loads(b"".join(answer.parts))
    assert "values" in partial
    assert running.progress[0] > 0
    assert answer.work.misses == 4
    assert answer.work.compute_s > 0


def test_a_run_past_its_time_is_ended() -> None:
    predictor = engine(world(), limits=Limits(seconds=-1.0))
    access = predictor.access(request(predictor, A))
    with pytest.raises(RunTooLong):
        access.model(A)(ROWS)


def test_other_bytes_under_the_same_name_are_read_anew() -> None:
    store = world()
    predictor = engine(store)
    predictor.access(request(predictor, A)).model(A)
    put_model(store, 1, ClientId("a"), 77)
    access = predictor.access(request(predictor, A))
    np.testing.assert_allclose(access.model(A)(ROWS)[0], output_of(77, ROWS), rtol=1e-5)


def test_a_program_counts_with_its_size_and_must_fit_the_cache() -> None:
    size = len(program())
    predictor = engine(world(), budget=size - 1)
    with pytest.raises(InsufficientCapacity, match="program:"):
        predictor.access(request(predictor, A))
    assert engine(world(), budget=size).access(request(predictor, A))


def test_an_artifact_is_a_model_too_whatever_the_length_of_its_header() -> None:
    store = world()
    state = {name: tensor.numpy() for name, tensor in network(55).state_dict().items()}
    for name, pad in (("short", 1), ("long", HEADER_GUESS + 10)):
        body = codec.dumps(state, {"pad": "x" * pad})
        store.put(layout.artifact(HOME, name), body)
        predictor = engine(store)
        model = ModelName(artifact=name)
        access = predictor.access(request(predictor, model))
        np.testing.assert_allclose(access.model(model)(ROWS)[0], output_of(55, ROWS), rtol=1e-5)


def test_an_artifact_that_was_deleted_is_not_found_though_it_was_cached() -> None:
    """The erasure of a client deletes what was made of it."""
    store = world()
    predictor = engine(store)
    model = ModelName(artifact="mean")
    store.put(layout.artifact(HOME, "mean"), store.contents[layout.tensors(HOME, 1, ClientId("a"))])
    predictor.access(request(predictor, model)).model(model)
    store.delete(layout.artifact(HOME, "mean"))
    with pytest.raises(NotFound):
        predictor.library.locate(predictor.library.jobs.get(JOB), model)
    assert predictor.forget_client(JOB, ClientId("nobody")) == 1, "it may be of anybody"


def test_an_artifact_of_another_schema_is_refused() -> None:
    store = world()
    store.put(layout.artifact(HOME, "other"), codec.dumps({"w": np.zeros(3, np.float32)}))
    predictor = engine(store)
    model = ModelName(artifact="other")
    with pytest.raises(SchemaMismatch):
        predictor.access(request(predictor, model)).model(model)


def test_a_job_whose_schema_changed_is_told() -> None:
    predictor = engine(world())
    with pytest.raises(InvalidParameters, match="another schema"):
        predictor.access(request(predictor, digest="0" * 64))


def test_a_program_that_does_not_fit_the_job_is_refused_and_a_new_one_replaces_it() -> None:
    store = world()
    predictor = engine(store)
    predictor.access(request(predictor, A))
    other = Schema.of([*SCHEMA.tensors, TensorSpec("more", "F32", (2,))])
    store.put(layout.job(JOB), to_bytes(Job(JOB, other).to_json()))
    with pytest.raises(SchemaMismatch, match="'more', for which the program has no parameter"):
        _ = predictor.access(inference(other, Files(store).read(FileName.program(HOME)).sha256)).inputs
    replaced, _ = Files(store).put(FileName.program(HOME), b"not a program", {}, 0.0)
    with pytest.raises(InvalidProgram):
        _ = predictor.access(inference(other, replaced.sha256)).inputs


def inference(schema: Schema, program: str) -> RunRequest:
    return RunRequest(JOB, schema.digest, program, {}, "inference", Pattern.P1, {}, ())


def test_what_was_replaced_since_it_was_asked_for_is_not_taken_for_it() -> None:
    """The cache would keep the new bytes under the old hash."""
    store = world()
    predictor = engine(store)
    earlier = Files(store).read(FileName.program(HOME)).sha256
    Files(store).put(FileName.program(HOME), b"not a program", {}, 0.0)
    with pytest.raises(Unavailable, match="was replaced while it was to be read; ask again"):
        predictor.access(inference(SCHEMA, earlier))
    access = engine(store := world()).access(request(engine(store), datasets={"test": "another hash"}))
    with pytest.raises(Unavailable, match="was replaced"):
        access.dataset("test")


def test_a_process_is_leased_when_one_is_needed_and_given_back_at_the_end() -> None:
    processes = OwnProcesses()
    predictor = engine(world(), processes=processes)
    with predictor.access(request(predictor, A)) as access:
        assert processes.leased == 0
        access.model(A)(ROWS)
        assert (len(access.inputs), processes.leased) == (1, 1)
    assert processes.leased == 0
    with pytest.raises(InvalidParameters), predictor.access(request(predictor, A)) as access:
        access.model(A)(ROWS, ROWS)
    assert processes.leased == 0
    predictor.forget_job(JOB)
    assert processes.forgotten == [JOB]


def test_what_is_forgotten_is_gone_and_the_rest_stays() -> None:
    store = world()
    predictor = engine(store)
    access = predictor.access(request(predictor, A, B, AGGREGATE_1))
    for name in (A, B, AGGREGATE_1):
        access.model(name)
    assert predictor.inventory()["jobs"] == {JOB: {"objects": 4, "slices": [], "rounds": [1]}}
    assert predictor.explain(Key(JOB, 1, "a"))["cached"] is True
    assert predictor.forget_client(JOB, ClientId("a")) == 1
    assert predictor.explain(Key(JOB, 1, "a"))["cached"] is False
    assert predictor.forget_job(JOB) == 3
    assert predictor.inventory()["jobs"] == {}


def test_programs_and_data_sets_are_cached_under_names_that_no_client_has() -> None:
    store = world()
    predictor = engine(store)
    sha256 = put_dataset(store, "test", DATA)
    access = predictor.access(request(predictor, datasets={"test": sha256}))
    access.dataset("test")
    for member in (PROGRAM, DATASET + "test"):
        assert predictor.explain(Key(JOB, 0, member))["cached"] is True


def test_a_data_set_that_was_replaced_is_read_anew() -> None:
    store = world()
    predictor = engine(store)
    first = put_dataset(store, "test", DATA)
    predictor.access(request(predictor, datasets={"test": first})).dataset("test")
    second = put_dataset(store, "test", {"inputs": np.zeros((1, 4), np.float32)})
    arrays = predictor.access(request(predictor, datasets={"test": second})).dataset("test")
    assert set(arrays) == {"inputs"}


def test_a_model_is_located_by_its_record() -> None:
    store = world()
    library: Library = engine(store).library
    job = library.jobs.get(JOB)
    record = commit(store, 2, {"c": 3}, None)
    assert library.locate(job, ModelName(2, ClientId("c"))) == ModelRef.of(
        ModelName(2, ClientId("c")), record.members[0]
    )
    with pytest.raises(NotFound, match="job 'small' stores no model '2'"):
        library.locate(job, ModelName(2, AGGREGATE))


def test_a_tally_adds_up() -> None:
    tally = Tally()
    tally.add(hits=1, bytes_touched=10)
    tally.add(misses=2, fetch_s=0.5)
    assert (tally.work.hits, tally.work.misses, tally.work.bytes_touched, tally.work.fetch_s) == (1, 2, 10, 0.5)
