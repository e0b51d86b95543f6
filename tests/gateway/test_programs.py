"""Programs and data sets as they are kept, without HTTP."""

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


def test_a_file_counts_once_its_record_is_stored(programs: Programs, store: MemoryStore) -> None:
    """A store that fails between the two leaves the earlier record, and the next attempt completes it."""
    programs.put_dataset(JOB, "a", dataset(3))

    def fail(call: Call) -> None:
        if call.key == layout.dataset_record(HOME, "a") and call.method == "put":
            raise StoreUnavailable("away")

    store.before = fail
    with pytest.raises(StoreUnavailable):
        programs.put_dataset(JOB, "a", dataset(5))
    store.before = lambda call: None
    assert programs.read_dataset(JOB, "a").nbytes == dataset(3).nbytes
    record, is_new = programs.put_dataset(JOB, "a", dataset(5))
    assert (is_new, record.nbytes, record.stored_at) == (True, dataset(5).nbytes, FakeTime().now())
    assert store.contents[layout.dataset(HOME, "a")] == bytes(dataset(5))


def test_deleting_takes_the_record_first(programs: Programs, store: MemoryStore) -> None:
    """So what is left of a deletion that breaks off is no data set any more."""
    programs.put_dataset(JOB, "a", dataset(3))

    def fail(call: Call) -> None:
        if call.key == layout.dataset(HOME, "a"):
            raise StoreUnavailable("away")

    store.before = fail
    with pytest.raises(StoreUnavailable):
        programs.delete_dataset(JOB, "a")
    with pytest.raises(NotFound):
        programs.read_dataset(JOB, "a")
