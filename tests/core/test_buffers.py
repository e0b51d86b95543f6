"""Memory that is used again."""

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from flstore_core import buffers
from flstore_core.buffers import SMALLEST, Recycler


def address(array: NDArray[np.uint8]) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_is_handed_out_again_once_nobody_refers_to_it() -> None:
    recycler = Recycler(10 * SMALLEST)
    first = recycler.take(SMALLEST)
    place = address(first)
    first[:] = 7
    del first
    assert recycler.idle_nbytes == SMALLEST
    again = recycler.take(SMALLEST)
    assert (address(again), again[0], recycler.idle_nbytes) == (place, 7, 0)


VIEWS: dict[str, Callable[[NDArray[np.uint8]], object]] = {
    "slice": lambda array: array[8:16][2:],
    "dtype": lambda array: array.view(np.float32).reshape(2, -1)[1],
    "memoryview": lambda array: array.data[4:],
    "frombuffer": lambda array: np.frombuffer(array.data[16:], np.float32),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_keeps_memory_from_being_handed_out(view: str) -> None:
    recycler = Recycler(10 * SMALLEST)
    kept = VIEWS[view](recycler.take(SMALLEST))
    gc.collect()
    assert recycler.idle_nbytes == 0
    del kept
    assert recycler.idle_nbytes == SMALLEST


def test_no_more_is_kept_than_the_limit_and_the_oldest_goes() -> None:
    recycler = Recycler(2 * SMALLEST)
    arrays = [recycler.take(SMALLEST) for _ in range(4)]
    places = [address(array) for array in arrays]
    while arrays:
        del arrays[0]
    assert recycler.idle_nbytes == 2 * SMALLEST
    assert {address(array) for array in (recycler.take(SMALLEST), recycler.take(SMALLEST))} <= set(places)


class Cycle:
    """Refers to itself, so that only the garbage collector lets go of its array."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array = array
        self.me = self


@pytest.fixture
def collector() -> Iterator[None]:
    """Put the garbage collector back to what it was."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.enable()


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("allocations", range(1, 40))
def test_memory_may_come_back_at_any_moment_of_counting_it(allocations: int) -> None:
    recycler = Recycler(100 * SMALLEST)
    arrays = [recycler.take(SMALLEST) for _ in range(30)]
    arrays.clear()
    for _ in range(5):
        gc.disable()
        gc.collect()
        Cycle(recycler.take(2 * SMALLEST))
        gc.set_threshold(allocations)
        gc.enable()
        assert recycler.idle_nbytes > 0


def test_other_sizes_get_fresh_memory_and_leave_what_is_kept() -> None:
    recycler = Recycler(10 * SMALLEST)
    recycler.take(SMALLEST)
    other = recycler.take(2 * SMALLEST)
    assert (len(other), recycler.idle_nbytes) == (2 * SMALLEST, SMALLEST)


def test_small_arrays_are_left_to_malloc() -> None:
    recycler = Recycler(10 * SMALLEST)
    recycler.take(SMALLEST - 1)
    assert recycler.idle_nbytes == 0


def test_empty_has_shape_and_dtype_and_can_be_written() -> None:
    array = buffers.empty((3, SMALLEST), np.float32)
    array[:] = 1.5
    assert (array.shape, str(array.dtype), float(array.sum())) == ((3, SMALLEST), "float32", 4.5 * SMALLEST)


def test_threads_that_take_and_let_go_at_once_never_share_memory_and_never_fail() -> None:
    recycler = Recycler(2 * SMALLEST)

    def work(mark: int) -> bool:
        held = [recycler.take(SMALLEST + 4096 * (turn % 2)) for turn in range(4)]
        for array in held:
            array[::4096] = mark
        return all((array[::4096] == mark).all() for array in held)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, [mark % 251 for mark in range(2000)]))
    assert recycler.idle_nbytes <= 2 * SMALLEST


FREED_AND_TAKEN = """
import resource
from flstore_core import buffers
{prepare}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"x" * 2**24 for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def test_malloc_keeps_what_is_freed_once_told_to() -> None:
    def faults(prepare: str) -> int:
        code = FREED_AND_TAKEN.format(prepare=prepare)
        return int(subprocess.check_output([sys.executable, "-c", code], timeout=60))

    assert faults("buffers.keep_freed()") < faults("") / 10
