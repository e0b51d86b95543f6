"""The zygote's own steps, without a fork; `test_pool` has the rest."""

import json
import os
import queue
import socket
import threading
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from services.predictor.confined import zygote
from services.predictor.confined.limits import Bounds
from services.predictor.confined.syscalls import Filter, Unfiltered
from tests.predictor.confined.probing import BOUNDS


class Left(BaseException):
    """In place of the end of the process."""


def leave(code: int) -> None:
    raise Left(code)


def test_a_process_gives_everything_up_before_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def note(name: str) -> Any:
        return lambda *_, **__: steps.append(name)

    own = {name: note(name) for name in ("setsid", "dup2")}
    monkeypatch.setattr(zygote, "os", SimpleNamespace(_exit=leave, **own))
    monkeypatch.setattr(
        zygote, "signal", SimpleNamespace(set_wakeup_fd=note(""), signal=note(""), SIGCHLD=0, SIG_DFL=0)
    )
    monkeypatch.setattr(zygote, "socket", SimpleNamespace(socket=note("socket")))
    monkeypatch.setattr(zygote, "torch", SimpleNamespace(set_num_threads=note("threads")))
    monkeypatch.setattr(zygote, "keep_only", note("keep only"))
    names = ("die_with_parent", "give_up_privileges", "begin", "limit")
    monkeypatch.setattr(zygote, "limits", SimpleNamespace(**{name: note(name) for name in names}))
    monkeypatch.setattr(zygote, "devices", SimpleNamespace(begin=note("begin")))
    monkeypatch.setattr(zygote, "Worker", lambda *_: SimpleNamespace(serve=note("serve")))
    filtered: Any = SimpleNamespace(install=note("filter"))
    with pytest.raises(Left, match="0"):
        zygote.run(7, BOUNDS, filtered)
    order = ["keep only", *names, "filter", "serve"]
    assert [step for step in steps if step in order] == order


def test_what_keeps_a_process_from_serving_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zygote, "signal", SimpleNamespace())
    monkeypatch.setattr(zygote, "os", SimpleNamespace(_exit=leave))
    with pytest.raises(Left, match="1"):
        zygote.run(7, BOUNDS, None)
    assert "AttributeError" in capsys.readouterr().err


def test_a_device_is_tried_out_in_another_process() -> None:
    assert zygote.check_device("cpu") == ""
    assert "cannot compute on meta" in zygote.check_device("meta")


@pytest.mark.parametrize(("status", "reason"), [(0, ""), (256, "the kernel accepts no filter")])
def test_a_filter_is_tried_out_before_it_is_relied_on(
    monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    monkeypatch.setattr(zygote, "os", SimpleNamespace(fork=lambda: 7, waitpid=lambda *_: (7, status)))
    found, told = zygote.check_filter()
    assert (found is None, told) == (bool(reason), reason)


def test_a_system_without_a_filter_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Filter, "__init__", lambda *_: (_ for _ in ()).throw(Unfiltered("no library")))
    assert zygote.check_filter() == (None, "no library")


def test_only_one_descriptor_is_kept_beside_the_null_device_and_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    own = {name: lambda *numbers, name=name: calls.append((name, *numbers)) for name in ("dup2", "closerange")}
    monkeypatch.setattr(zygote, "os", SimpleNamespace(**own))
    monkeypatch.setattr(zygote, "resource", SimpleNamespace(getrlimit=lambda _: (1024, 4096), RLIMIT_NOFILE=7))
    zygote.keep_only(9)
    assert calls == [("dup2", 9, 0), ("closerange", 3, 1024)]


class Kernel:
    """Processes that are forked, killed and waited for in name only. Stands in for `zygote`'s os and signal."""

    SIGCHLD, SIGKILL, WNOHANG, O_NONBLOCK, O_CLOEXEC = 17, 9, os.WNOHANG, os.O_NONBLOCK, os.O_CLOEXEC

    def __init__(self) -> None:
        self._pids = iter((7, 8))
        self._ended: list[tuple[int, int]] = []
        self._wake = -1
        self.killed: queue.Queue[tuple[int, int]] = queue.Queue()
        self.pipe2, self.read, self.close = os.pipe2, os.read, os.close
        self.waitstatus_to_exitcode = os.waitstatus_to_exitcode

    def fork(self) -> int:
        return next(self._pids)

    def kill(self, pid: int, number: int) -> None:
        self.killed.put((pid, number))

    def waitpid(self, _: int, __: int) -> tuple[int, int]:
        if self._ended:
            return self._ended.pop(0)
        raise ChildProcessError

    def signal(self, *_: Any) -> None:
        """The zygote's handler does nothing."""

    def set_wakeup_fd(self, fd: int) -> None:
        self._wake = fd

    def end(self, *ended: tuple[int, int]) -> None:
        """End processes, given with their status, and wake the zygote as the signal does."""
        self._ended.extend(ended)
        os.write(self._wake, b"\x11")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    found = Kernel()
    monkeypatch.setattr(zygote, "os", found)
    monkeypatch.setattr(zygote, "signal", found)
    return found


def asked(control: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Ask for a process; return the ends of its connection and leash."""
    (end, its_end), (leash, its_leash) = socket.socketpair(), socket.socketpair()
    with its_end, its_leash:
        socket.send_fds(control, [json.dumps(asdict(BOUNDS)).encode()], [its_end.fileno(), its_leash.fileno()])
    leash.settimeout(20.0)
    return end, leash


def test_processes_are_made_killed_and_seen_to_end_until_the_predictor_is_gone(kernel: Kernel) -> None:
    control, its_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=zygote.Zygote(its_control, None).serve)
    thread.start()
    first, unwanted = asked(control)
    assert first.recv(1) == b"", "the zygote keeps no end of a process's connection"
    second, leash = asked(control)
    assert second.recv(1) == b""
    unwanted.close()
    assert kernel.killed.get(timeout=20.0) == (7, 9)
    kernel.end((7, 9), (8, 3 << 8))
    assert leash.recv(16) == b"3"
    assert leash.recv(16) == b"", "nothing is left of it"
    control.close()
    thread.join()
    for each in (its_control, first, second, leash):
        each.close()


def test_the_fork_runs_with_its_own_end_and_the_bounds_that_were_asked_for(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    def be(end: int, bounds: Bounds, found: Filter | None, device: str) -> None:
        told.extend([bounds, found, device])
        os.write(end, b"x")
        os.close(end)
        raise Left

    control, its_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monkeypatch.setattr(zygote, "run", be)
    monkeypatch.setattr(kernel, "fork", lambda: 0)
    with control, its_control:
        end, leash = asked(control)
        with end, leash:
            with pytest.raises(Left):
                zygote.Zygote(its_control, None, "cuda")._fork()
            assert end.recv(1) == b"x"
    assert told == [BOUNDS, None, "cuda"]


def test_what_a_fork_needs_of_pytorch_is_there_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    zygote.warm_up()
    assert threads == [1], "a thread of PyTorch's own would not be there after the fork"


def test_a_filter_that_is_refused_ends_the_process_that_tries_it(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = SimpleNamespace(install=lambda: (_ for _ in ()).throw(Unfiltered("the kernel accepts no filter")))
    monkeypatch.setattr(zygote, "Filter", lambda _: refused)
    monkeypatch.setattr(zygote, "os", SimpleNamespace(fork=lambda: 0, _exit=leave))
    with pytest.raises(Left, match="1"):
        zygote.check_filter()
