"""Memory that another process can be handed to read, without a copy.

A model is read from the store into a `memfd` that is mapped here, and a process that runs it is handed the descriptor.
*Seals* see to it that what the other maps can be read only: it is the kernel that refuses to map it for writing, to
write to the descriptor, or to change its size, and no seal can be taken off again.

Memory below `SMALLEST` is plain, and is copied when it is handed on: a descriptor each would be too many. So is memory
where there is no memfd, or no descriptor or mapping is left.

Memory is never used for other contents: a process that was handed it may have it mapped still.
"""

import ctypes
import fcntl
import mmap
import os
import weakref

import numpy as np
from numpy.typing import NDArray

from flstore_core import buffers

SMALLEST = 64 * 2**10
"""Least bytes that are handed on by a descriptor."""
_FUTURE_WRITE = 0x10
"""`F_SEAL_FUTURE_WRITE` of linux/fcntl.h: nothing but the mappings there are may write. Linux 5.1."""
_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL | _FUTURE_WRITE
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(3 * (ctypes.c_int,)), ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


class Memory:
    """Some bytes. Thread-safe once they are filled in."""

    def __init__(self, nbytes: int) -> None:
        """Take memory with arbitrary contents."""
        self.fd: int | None = None
        """To map the same bytes for reading; None if they have to be copied."""
        self.data: NDArray[np.uint8]
        """uint8, shape (nbytes,)."""
        if nbytes < SMALLEST or not self._share(nbytes):
            self.data = buffers.empty(nbytes, np.uint8)

    def _share(self, nbytes: int) -> bool:
        try:
            fd = os.memfd_create("flstore", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except (AttributeError, OSError):
            return False
        finalizer = weakref.finalize(self, os.close, fd)
        try:
            os.ftruncate(fd, nbytes)
            self.data = mapped(fd, nbytes, mmap.PROT_READ | mmap.PROT_WRITE)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError:
            finalizer()
            return False
        self.fd = fd
        return True

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    @classmethod
    def of(cls, data: bytes | memoryview) -> "Memory":
        """Return memory with a copy of `data`."""
        memory = cls(len(data))
        memory.data[:] = np.frombuffer(data, np.uint8)
        return memory


def mapped(fd: int, nbytes: int, protection: int = mmap.PROT_READ) -> NDArray[np.uint8]:
    """Return the first bytes of a file as an array, which shares its memory with all that map it. `fd` may be closed.

    Python's own `mmap` would keep a second descriptor open for each mapping.
    """
    address = _libc.mmap(None, nbytes, protection, mmap.MAP_SHARED, fd, 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    memory = (ctypes.c_uint8 * nbytes).from_address(address)
    weakref.finalize(memory, _libc.munmap, address, nbytes).atexit = False
    array: NDArray[np.uint8] = np.frombuffer(memoryview(memory), np.uint8)
    array.flags.writeable = bool(protection & mmap.PROT_WRITE)
    return array
