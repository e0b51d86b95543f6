"""Large arrays whose memory is used again, because the first touch of fresh memory is slow.

The kernel hands out memory page by page: the first write to each 4 KiB page costs a page fault and the zeroing of the
page. On virtual machines that give free pages back to their host it can cost more than all that is computed with the
array (docs/decisions/recycled-memory.md). Models of one job have one size, so the memory of the last one fits the next.

Example: with a limit of 1 MiB kept,

    a = recycler.take(300 KiB)     maps 300 KiB, and the first write faults 75 times
    del a                          its memory is kept: idle_nbytes = 300 KiB
    b = recycler.take(300 KiB)     the same memory with a's bytes still in it; no fault
    c = recycler.take(200 KiB)     below SMALLEST: plain numpy.empty, which malloc recycles by itself

An array's memory is kept when nothing refers to it any more, views included: NumPy's views and memoryviews hold a
reference to the array, and a finalizer on the array returns the memory. The finalizer may run at any moment, in any
thread, even in the middle of `_reuse`, so it takes no lock: `deque.append` and `popleft` are atomic by themselves.
"""

import ctypes
import math
import mmap
import weakref
from collections import deque
from contextlib import suppress
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SMALLEST = 256 * 1024
"""Bytes from which on memory is worth keeping; below, malloc does so itself."""
IDLE_SHARE = 8
"""One over the part of its budget that a service keeps of memory that it has let go of."""
MALLOC_KEEPS = 64 * 2**20
"""Bytes that malloc keeps at the end of each of its arenas, once told to."""
LARGEST_IN_ARENA = 32 * 2**20
"""Bytes from which on malloc maps a block of its own, once told to keep what is freed: the most that glibc accepts."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of malloc.h."""


class Recycler:
    """Hands out arrays over anonymous memory, and takes the memory back once nothing refers to them. Thread-safe.

    Args:
        limit: bytes kept at most while nobody uses them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._idle: deque[mmap.mmap] = deque()  # finalizers run anywhere, even under the lock: they take none

    @property
    def idle_nbytes(self) -> int:
        """Bytes kept for the next who asks."""
        return sum(map(len, tuple(self._idle)))

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Return an array of shape (nbytes,), uint8, with anything in it."""
        if nbytes < SMALLEST:
            return np.empty(nbytes, np.uint8)
        memory = self._reuse(nbytes) or mmap.mmap(-1, nbytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        array = np.frombuffer(memory, np.uint8)
        weakref.finalize(array, self._give_back, memory).atexit = False
        return array

    def _reuse(self, nbytes: int) -> mmap.mmap | None:
        """Return idle memory of that size, if there is any."""
        with self._lock, suppress(IndexError):  # a finalizer may have let go of the last one meanwhile
            for _ in range(len(self._idle)):
                memory = self._idle.popleft()
                if len(memory) == nbytes:
                    return memory
                self._idle.append(memory)
        return None

    def _give_back(self, memory: mmap.mmap) -> None:
        self._idle.append(memory)
        with suppress(IndexError):
            while self.idle_nbytes > self._limit:
                self._idle.popleft()


_recycler = Recycler(0)


def keep(limit: int) -> None:
    """Have this process keep up to `limit` bytes of memory that is let go of; none before this is called."""
    global _recycler
    _recycler = Recycler(limit)


def keep_freed() -> None:
    """Have malloc keep what is freed as well: PyTorch's operators take memory for their results from nowhere else.

    By itself glibc maps a large result afresh and gives it back with its last use, operator after operator. Without
    glibc, or where it refuses, this does nothing.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        if mallopt(_M_MMAP_THRESHOLD, LARGEST_IN_ARENA):  # without it, keeping more makes things worse
            mallopt(_M_TRIM_THRESHOLD, MALLOC_KEEPS)


def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array like `numpy.empty`, over memory that may have been used before."""
    kind = np.dtype(dtype)
    count = shape if isinstance(shape, int) else math.prod(shape)
    return _recycler.take(count * kind.itemsize).view(kind).reshape(shape)
