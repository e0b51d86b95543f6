"""The queue of long work: tenants take turns, and none takes all workers."""

from functools import partial

from services.gateway.answers.queue import FairQueue
from tests.fakes.executors import HeldExecutor


def test_the_example_of_the_module() -> None:
    held = HeldExecutor()
    queue = FairQueue(held, workers=4)
    done: list[str] = []
    for index in range(10):
        queue.submit("A", partial(done.append, f"a{index}"))
    assert len(held) == 3
    queue.submit("B", partial(done.append, "b0"))
    assert len(held) == 4
    for index in (1, 2):
        queue.submit("B", partial(done.append, f"b{index}"))
    held.run_all()
    order = ["a0", "a1", "a2", "b0", "a3", "b1", "a4", "b2", *(f"a{index}" for index in range(5, 10))]
    assert done == order


def test_a_single_worker_is_everybody_s() -> None:
    held = HeldExecutor()
    queue = FairQueue(held, workers=1)
    done: list[str] = []
    for tenant in "AAB":
        queue.submit(tenant, partial(done.append, tenant))
    assert len(held) == 1
    held.run_all()
    assert done == ["A", "A", "B"]
