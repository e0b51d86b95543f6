"""Programs and data sets as they are kept, without HTTP."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.generations import Generations
from flstore_core.records import Job
from flstore_core.schema import Schema
from services.gateway.programs import Programs
from tests.fakes.clock import FakeTime
from tests.fakes.store import Call, MemoryStore
from tests.gateway.world import HOME, NAME, TENSORS

JOB = Job(NAME, Schema.from_json(TENSORS), generation="g1")


def dataset(rows: int) -> memoryview:
    return memoryview(save({"inputs": np.zeros((rows, 2), np.float32)}))


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    Generations(store).begin(JOB)
    return store


@pytest.fixture
def programs(store: MemoryStore) -> Programs:
    return Programs(store, FakeTime())


def test_a_data_set_that_is_deleted_during_a_look_is_left_out(programs: Programs, store: MemoryStore) -> None:
    for name in ("a", "b"):
        programs.put_dataset(JOB, name, dataset(3))

    def delete_meanwhile(call: Call) -> None:
        if call.method == "list":
            store.after = lambda call: None
            programs.delete_dataset(JOB, "a")

    store.after = delete_meanwhile
    assert list(programs.read_datasets(JOB)) == ["b"]


def test_what_was_deleted_is_neither_listed_nor_suggested(programs: Programs) -> None:
    for name in ("test", "tests"):
        programs.put_dataset(JOB, name, dataset(3))
    programs.delete_dataset(JOB, "tests")
    assert list(programs.read_datasets(JOB)) == ["test"]
    for call in (programs.read_dataset, programs.delete_dataset):
        with pytest.raises(NotFound, match=r"data set 'tests' does not exist; nearest: test$"):
            call(JOB, "tests")
    with pytest.raises(NotFound, match="has no program; PUT /v1/jobs/job/model uploads one"):
        programs.delete_program(JOB)


@pytest.mark.parametrize("rows", [3, 5])
def test_a_put_into_a_job_that_was_deleted_meanwhile_is_not_acknowledged(
    programs: Programs, store: MemoryStore, rows: int
) -> None:
    """Not even one that finds these very bytes stored: the deletion is about to sweep them."""
    programs.put_dataset(JOB, "a", dataset(3))

    def delete_job(call: Call) -> None:
        if call == Call("get_with_info", layout.dataset_record(HOME, "a")):
            store.after = lambda call: None
            Generations(store).delete(JOB.id)

    store.after = delete_job
    with pytest.raises(NotFound, match="was deleted meanwhile"):
        programs.put_dataset(JOB, "a", dataset(rows))
    assert list(store.contents) == [layout.job(JOB.id)]


def test_a_job_made_after_a_broken_off_deletion_inherits_nothing(programs: Programs, store: MemoryStore) -> None:
    programs.put_dataset(JOB, "a", dataset(3))
    store.put(layout.artifact(HOME, "a1"), b"model")

    def fail(call: Call) -> None:
        if call.method == "delete_prefix":
            raise StoreUnavailable("away")

    store.before = fail
    with pytest.raises(StoreUnavailable):
        Generations(store).delete(JOB.id)
    anew = replace(JOB, generation="g2")
    with pytest.raises(StoreUnavailable):  # it begins, and then sweeps
        Generations(store).begin(anew)
    assert programs.read_datasets(anew) == {}
    assert [key for key in store.contents if key.startswith(f"{anew.home}/")] == []
    store.before = lambda call: None
    Generations(store).sweep(JOB.id)
    assert list(store.contents) == [layout.job(JOB.id)]
