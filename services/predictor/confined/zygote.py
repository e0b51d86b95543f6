"""The process that programs' processes are forked from: it has imported PyTorch, and knows nothing of any job.

    python -m services.predictor.confined.zygote FD DEVICE

It serves the predictor over the socket FD. First it says whether it can filter system calls, and whether DEVICE can be
computed on. Then each message asks for
a process: JSON with its `Bounds`, and two descriptors, the process's own end and a *leash*, which stays here. When the
process ends, its return code goes down the leash; when the predictor lets go of the leash, the process is killed. When
the predictor closes FD or dies, this process ends, and with it all of them.

It has one thread, and never more: a fork of a process with several may find locks taken for ever.
"""

import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch

from flstore_core import buffers
from flstore_core.errors import InvalidParameters, InvalidProgram
from flstore_core.models import (
    devices,
    loading,  # noqa: F401 - what a worker needs is imported before the fork
)
from flstore_core.models.executor import Executable
from flstore_core.models.program import Input, Node, Program, Ref
from flstore_core.models.running import Limits, Running
from services.predictor.confined import limits
from services.predictor.confined.limits import Bounds
from services.predictor.confined.syscalls import Filter, Unfiltered
from services.predictor.confined.wire import Line
from services.predictor.confined.worker import Worker

KEPT_BYTES = 32 * 2**20
"""Unused memory that a process keeps for the next arrays of its inputs."""
CONTROL, CHILDREN = "control", "children"


class Zygote:
    """Forks processes and sees them end.

    Args:
        control: the socket over which the predictor asks.
        filter: of system calls; None where this system has none.
        device: on which programs compute.
    """

    def __init__(self, control: socket.socket, filter: Filter | None, device: str = "cpu") -> None:  # noqa: A002
        self._control = control
        self._filter = filter
        self._device = device
        self._leashes: dict[int, socket.socket] = {}
        self._events = selectors.DefaultSelector()

    def serve(self) -> None:
        """Fork what is asked for, until the predictor closes the connection."""
        ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)
        self._events.register(self._control, selectors.EVENT_READ, CONTROL)
        self._events.register(ended, selectors.EVENT_READ, CHILDREN)
        while True:
            for key, _ in self._events.select():
                if key.data == CHILDREN:
                    os.read(ended, 4096)
                    self._bury()
                elif key.data == CONTROL:
                    if not self._fork():
                        return
                elif key.data in self._leashes:
                    os.kill(key.data, signal.SIGKILL)
                    self._events.unregister(key.fileobj)

    def _fork(self) -> bool:
        """Fork a process; return False if nobody will ask any more."""
        text, fds, _, _ = socket.recv_fds(self._control, 4096, 2)
        if not text:
            return False
        end, leash = fds
        if (pid := os.fork()) == 0:
            run(end, Bounds(**json.loads(text)), self._filter, self._device)
        os.close(end)
        self._leashes[pid] = socket.socket(fileno=leash)
        self._events.register(self._leashes[pid], selectors.EVENT_READ, pid)
        return True

    def _bury(self) -> None:
        """Tell how processes ended that have."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                leash = self._leashes.pop(ended[0])
                with suppress(KeyError):
                    self._events.unregister(leash)
                with suppress(OSError):
                    leash.send(b"%d" % os.waitstatus_to_exitcode(ended[1]))
                leash.close()


def run(end: int, bounds: Bounds, filter: Filter | None, device: str = "cpu") -> NoReturn:  # noqa: A002
    """Be the process of a program: give up all that can be given up, and serve."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        keep_only(end)
        os.setsid()
        limits.die_with_parent()
        limits.give_up_privileges()
        ready = devices.begin(device)  # while files can be opened; what a GPU's driver has taken by then does not count
        limits.limit(bounds)
        torch.set_num_threads(bounds.threads)
        worker = Worker(Line(socket.socket(fileno=0), lambda _: None, max_fds=1), ready)
        os.dup2(1, 2)  # from now on a stranger's program could write to the predictor's log
        if filter:
            filter.install()
        worker.serve()
    except BaseException:
        traceback.print_exc()  # not to be seen any more once it serves
        os._exit(1)
    os._exit(0)


def keep_only(end: int) -> None:
    """Close every descriptor but one, which becomes 0, and those of /dev/null and the log, 1 and 2."""
    os.dup2(end, 0)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def check_device(name: str) -> str:
    """Return why programs cannot compute on a device, tried out in a fork: a GPU's driver survives none."""
    if name == devices.CPU.type:
        return ""
    ours, theirs = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            devices.begin(name)
        except InvalidParameters as error:
            os.write(theirs, error.detail.encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as answer:
        reason = answer.read().decode()
    return reason if os.waitpid(pid, 0)[1] == 0 else f"a process that began to use {name} ended"


def check_filter(device: str = "cpu") -> tuple[Filter | None, str]:
    """Return a filter of system calls, tried out in a fork; or None, and why there is none."""
    try:
        found = Filter(device)
    except Unfiltered as error:
        return None, str(error)
    if (pid := os.fork()) == 0:
        with suppress(BaseException):
            found.install()
            os._exit(0)
        os._exit(1)
    refused = os.waitpid(pid, 0)[1]
    return (None, "the kernel accepts no filter") if refused else (found, "")


def warm_up() -> None:
    """Run a program, so that whatever PyTorch imports or reads at its first use is there before the fork."""
    torch.set_num_threads(1)
    nodes = (
        Node("aten.conv2d.default", (Ref("x"), Ref("w")), {}, ["conv"]),
        Node("aten.relu.default", (Ref("conv"),), {}, ["relu"]),
        Node("aten.flatten.using_ints", (Ref("relu"), 1), {}, ["flat"]),
        Node("aten.linear.default", (Ref("flat"), Ref("v")), {}, ["out"]),
    )
    program = Program((Input("x", "F32", (None, 1, 4, 4)),), {"w": "w", "v": "v"}, {}, {}, nodes, ("out",))
    weights = {"w": torch.ones(2, 1, 3, 3), "v": torch.ones(3, 8)}
    images, running = [torch.ones(2, 1, 4, 4)], Running(Limits(), lambda: 0.0)
    (out,) = Executable(program).run(weights, {}, images, running)
    refused = replace(program, nodes=(Node("aten.relu.default", ([Ref("x")],), {}, ["out"]),))
    with suppress(InvalidProgram):  # PyTorch says what it refuses, and to print a tensor it imports more
        Executable(refused).run(weights, {}, images, running)
    assert np.array_equal(out.numpy(), np.full((2, 3), 72.0))


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    warnings.simplefilter("ignore")
    with suppress(OSError):  # in its last need the kernel ends this, not the predictor; while `hide` allows to say so
        Path("/proc/self/oom_score_adj").write_text("1000")
    limits.hide()
    buffers.keep(KEPT_BYTES)
    buffers.keep_freed()
    warm_up()
    device = sys.argv[2]
    found, reason = check_filter(device)
    unready = check_device(device)
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"unfiltered": reason, "unready": unready}).encode())
    Zygote(control, found, device).serve()


if __name__ == "__main__":
    main()
