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
"""Least bytes of an array whose memory is kept; malloc recycles smaller ones itself."""
IDLE_SHARE = 8
"""A service keeps at most its cache budget divided by this in unused memory."""
MALLOC_KEEPS = 64 * 2**20
"""Bytes that malloc keeps at the end of each arena after `keep_freed`."""
LARGEST_IN_ARENA = 32 * 2**20
"""Least bytes of a block that malloc maps by itself after `keep_freed`; glibc accepts no more."""
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
        self._idle: deque[mmap.mmap] = deque()
        """Guarded by no lock: `_give_back` changes it, and that may run in a thread that holds every lock already."""

    @property
    def idle_nbytes(self) -> int:
        """Bytes kept for the next arrays."""
        # A copy, since `_give_back` may run in the middle of the sum, and a deque must not change while it is iterated.
        # Not `tuple(…)`: making the tuple can set off the garbage collector when the iteration has begun already.
        return sum(map(len, self._idle.copy()))

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Return a uint8 array of shape (nbytes,) with arbitrary contents."""
        if nbytes < SMALLEST:
            return np.empty(nbytes, np.uint8)
        memory = self._reuse(nbytes) or mmap.mmap(-1, nbytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        array = np.frombuffer(memory, np.uint8)
        weakref.finalize(array, self._give_back, memory).atexit = False
        return array

    def _reuse(self, nbytes: int) -> mmap.mmap | None:
        """Return idle memory of that size, if there is any."""
        with self._lock, suppress(IndexError):  # a finalizer may have dropped the last one meanwhile
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
    """Have this process keep up to `limit` bytes of unused memory. Until this is called it keeps none."""
    global _recycler
    _recycler = Recycler(limit)


def keep_freed() -> None:
    """Have malloc keep freed memory as well, since PyTorch's operators allocate their results with malloc.

    By default glibc maps each large result anew and unmaps it when it is freed, operator after operator. Without glibc,
    or if it refuses the settings, this does nothing.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        if mallopt(_M_MMAP_THRESHOLD, LARGEST_IN_ARENA):  # without it, keeping more makes things worse
            mallopt(_M_TRIM_THRESHOLD, MALLOC_KEEPS)


def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array like `numpy.empty`, over memory that may have been used before.

    Args:
        shape: number of elements, or extents.
    """
    kind = np.dtype(dtype)
    count = shape if isinstance(shape, int) else math.prod(shape)
    return _recycler.take(count * kind.itemsize).view(kind).reshape(shape)
