"""Large arrays whose memory is used again: at its first touch every fresh page costs a fault, and the kernel's zeroing.

On virtual machines that hand free pages back to their host, a first touch can cost more than all that is computed with
the array (docs/decisions/recycled-memory.md). Models of one job are all of one size, so what was let go of fits.
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
