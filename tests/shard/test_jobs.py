"""Jobs' records on a shard: one read for all who miss one, and no job waits for another's."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from flstore_core import layout
from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.generations import Generations
from flstore_core.ids import JobId
from flstore_core.records import Job
from flstore_core.schema import Schema, TensorSpec
from flstore_core.shard.jobs import Jobs
from tests.fakes.store import MemoryStore

SCHEMA = Schema((TensorSpec("w", "F32", (2,)),))
A, B = (Job(JobId(name), SCHEMA, generation=f"g-{name}") for name in "ab")
DEADLINE_S = 10.0


class Disturbed(MemoryStore):
    """A store in which something happens while a job's record is being read."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None
        self.reads = 0

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        body = super().get(key, offset=offset, length=length)
        if key == layout.job(A.id):
            self.reads += 1
            self.meanwhile()
        return body


@pytest.fixture
def store() -> Disturbed:
    store = Disturbed()
    for job in (A, B):
        assert Generations(store).begin(job)
    store.reads = 0
    return store


def test_a_record_is_read_once_and_again_when_another_is_meant(store: Disturbed) -> None:
    jobs = Jobs(store)
    assert [jobs.get(A.id), jobs.get(A.id, SCHEMA.digest, "g-a")] == [A, A]
    assert store.reads == 1
    with pytest.raises(NotFound, match="made anew"):
        jobs.get(A.id, generation="g-later")
    with pytest.raises(InvalidParameters, match="another schema"):
        jobs.get(A.id, "another digest")
    assert store.reads == 3
    jobs.forget(A.id)
    assert jobs.get(A.id) == A
    assert store.reads == 4


def test_a_job_is_found_while_the_store_is_slow_with_another(store: Disturbed) -> None:
    jobs = Jobs(store)
    with ThreadPoolExecutor(1) as pool:
        found: list[Job] = []
        store.meanwhile = lambda: found.append(pool.submit(jobs.get, B.id).result(DEADLINE_S))
        assert jobs.get(A.id) == A
    assert found == [B]


def test_all_who_miss_a_record_wait_for_one_read(store: Disturbed) -> None:
    jobs = Jobs(store)
    with ThreadPoolExecutor(4) as pool:
        waiting: list[Future[Job]] = []

        def others() -> None:
            store.meanwhile = lambda: None
            waiting.extend(pool.submit(jobs.get, A.id) for _ in range(4))

        store.meanwhile = others
        assert jobs.get(A.id) == A
        assert [each.result(DEADLINE_S) for each in waiting] == [A] * 4
    assert store.reads == 1


def test_a_record_that_is_forgotten_while_it_is_read_is_read_again(store: Disturbed) -> None:
    jobs = Jobs(store)
    with ThreadPoolExecutor(1) as pool:
        forgetting: list[Future[None]] = []

        def forget() -> None:
            store.meanwhile = lambda: None
            forgetting.append(pool.submit(jobs.forget, A.id))

        store.meanwhile = forget
        jobs.get(A.id)
        forgetting[0].result(DEADLINE_S)
    Generations(store).delete(A.id)
    again = replace(A, generation="g-again")
    assert Generations(store).begin(again)
    assert jobs.get(A.id).generation == "g-again"
