"""The system calls that a program's process may make: those that computing takes, and no others.

seccomp is the kernel's: a filter that is installed stays for the rest of the process, in all its threads. What is not
listed fails with EPERM, so these are not among the listed, on purpose:

    open, openat, creat, memfd_create    no file is opened, to read or to write; what is open stays usable
    socket, connect, bind, accept        no network
    execve, fork                         no other program, no other process; `clone` makes threads only
    ptrace, process_vm_readv, kill       no look into other processes, no signal to them
    mount, unshare, bpf, io_uring_setup, keyctl, …: all the rest of the kernel

Mapping memory that can be executed is allowed: oneDNN writes the code of its kernels as it goes.

libseccomp knows the calls' numbers on each architecture and writes the filter. It is a part of Debian, since apt uses
it, and of every system with systemd.
"""

import ctypes
import errno
import os
import threading
from collections.abc import Iterator

LIBRARY = "libseccomp.so.2"

ALLOWED = """
    brk clock_getres clock_gettime clock_nanosleep close exit exit_group fcntl fstat futex futex_time64 getcpu getpid
    getppid getrandom getrusage gettid gettimeofday madvise membarrier mincore mprotect mremap munmap mmap mmap2
    nanosleep newfstatat poll ppoll read readv recvfrom recvmsg restart_syscall rseq rt_sigaction rt_sigprocmask
    rt_sigreturn sched_getaffinity sched_yield sendmsg sendto set_robust_list set_tid_address sigaltstack sysinfo times
    uname write writev
"""
"""Calls that are allowed whatever their arguments. Names that an architecture lacks are passed over."""

FOR_GPUS = "ioctl"
"""Calls that computing on a GPU takes as well: its driver is talked to by them, over files that are open already."""

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EQUAL, _MASKED_EQUAL = 4, 7
"""Of seccomp.h."""
_CLONE_THREAD = 0x10000
_PR_SET_NAME = 15


class _Condition(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Unfiltered(Exception):
    """This system cannot filter system calls; the text says why."""


class Filter:
    """A filter that is ready to be installed, in this process or in forks of it."""

    def __init__(self, device: str = "cpu") -> None:
        """Find the library, for processes that compute on a device; raise `Unfiltered` where it is missing."""
        self._allowed = ALLOWED.split() if device == "cpu" else [*ALLOWED.split(), *FOR_GPUS.split()]
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise Unfiltered(f"{LIBRARY} is not installed") from error
        self._library.seccomp_init.restype = ctypes.c_void_p

    def install(self) -> None:
        """Restrict this process, which has one thread only, for good; raise `Unfiltered` if the kernel refuses."""
        if threading.active_count() > 1:
            raise AssertionError("other threads would go on unrestricted")
        context = ctypes.c_void_p(self._library.seccomp_init(_ERRNO | errno.EPERM))
        try:
            for name in self._allowed:
                self._add(context, _ALLOW, name)
            for name, condition in _conditions():
                self._add(context, _ALLOW, name, condition)
            # Its flags lie in memory, where no filter can look. The C library then calls `clone`.
            self._add(context, _ERRNO | errno.ENOSYS, "clone3")
            if failure := self._library.seccomp_load(context):
                raise Unfiltered(f"the kernel accepts no filter: {os.strerror(-failure)}")
        finally:
            self._library.seccomp_release(context)

    def _add(self, context: ctypes.c_void_p, action: int, name: str, *conditions: _Condition) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        array = (_Condition * len(conditions))(*conditions)
        failure = self._library.seccomp_rule_add_array(
            context, ctypes.c_uint32(action), ctypes.c_int(number), ctypes.c_uint(len(conditions)), array
        )
        if failure and number >= 0:
            raise Unfiltered(f"no filter for {name}: {os.strerror(-failure)}")


def _conditions() -> Iterator[tuple[str, _Condition]]:
    """Yield calls that are allowed with one argument of a certain value."""
    yield "clone", _Condition(0, _MASKED_EQUAL, _CLONE_THREAD, _CLONE_THREAD)
    yield "prctl", _Condition(0, _EQUAL, _PR_SET_NAME, 0)
    yield "tgkill", _Condition(0, _EQUAL, os.getpid(), 0)  # `abort` sends SIGABRT to its own thread
    yield "prlimit64", _Condition(2, _EQUAL, 0, 0)  # a thread's stack is as large as its limit; no limit is set
