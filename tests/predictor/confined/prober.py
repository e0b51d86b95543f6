"""A zygote whose processes do what no program should be able to do, when they are asked to.

    python prober.py FD

It is the real one but for the worker, which takes the first number of its inputs for the number of a probe, and answers
with the text that the probe returns. A probe is what a program could do that had got hold of its process.
"""

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

import numpy as np
import torch

from services.predictor.confined import zygote
from services.predictor.confined.wire import Line, Message, packed, unpacked

libc = ctypes.CDLL(None, use_errno=True)
PREDICTOR = os.getppid()
PTRACE_ATTACH = 16
VM_READ = {"x86_64": 310, "aarch64": 270}


def called(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def read_memory(pid: int) -> None:
    """Read 8 bytes of this program's own text in another process."""
    buffer = ctypes.create_string_buffer(8)
    address = ctypes.cast(libc.getpid, ctypes.c_void_p).value
    vectors = [(ctypes.c_size_t * 2)(where, 8) for where in (ctypes.addressof(buffer), address or 0)]
    called(libc.syscall(VM_READ[os.uname().machine], pid, vectors[0], 1, vectors[1], 1, 0))


def descriptors() -> str:
    def is_open(fd: int) -> bool:
        try:
            os.fstat(fd)
        except OSError:
            return False
        return True

    return str([fd for fd in range(1024) if is_open(fd)])


def limits() -> str:
    names = ("FSIZE", "CORE", "NOFILE", "CPU", "MEMLOCK")
    return str({name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in names})


def allocate() -> None:
    bytearray(2**30)


def spin() -> None:
    while True:
        pass


def abort() -> None:
    os.abort()


def two_threads() -> str:
    torch.set_num_threads(2)
    return str(float(torch.ones(1000, 1000).sum()))


PROBES: dict[str, Callable[[], Any]] = {
    "alive": lambda: "yes",
    "pid": os.getpid,
    "environment": lambda: sorted(os.environ),
    "descriptors": descriptors,
    "limits": limits,
    "two threads": two_threads,
    "read a file": lambda: Path("/etc/passwd").read_bytes(),
    "read the predictor's environment": lambda: Path(f"/proc/{PREDICTOR}/environ").read_bytes(),
    "read the predictor's memory": lambda: read_memory(PREDICTOR),
    "write a file": lambda: Path("file").write_bytes(b"x"),
    "list a folder": lambda: os.listdir("/"),
    "make a file in memory": lambda: os.memfd_create("x"),
    "open a socket": lambda: socket.socket(),
    "connect inside": lambda: socket.socket(socket.AF_UNIX),
    "run a program": lambda: os.execv("/bin/true", ["true"]),
    "make a process": os.fork,
    "send a signal": lambda: os.kill(PREDICTOR, 0),
    "trace the predictor": lambda: called(libc.ptrace(PTRACE_ATTACH, PREDICTOR, None, None)),
    "leave its user": lambda: os.setuid(0),
    "undo a limit": lambda: called(libc.setrlimit(resource.RLIMIT_CPU, (ctypes.c_ulong * 2)(2**30, 2**30))),
    "allocate": allocate,
    "spin": spin,
    "sleep": lambda: time.sleep(3600),
    "crash": lambda: ctypes.string_at(0),
    "abort": abort,
    "exit": lambda: os._exit(3),
    "kill itself": lambda: signal.raise_signal(signal.SIGKILL),
}
NUMBERS = {name: number for number, name in enumerate(PROBES)}


def framed(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<IQB", len(header), len(body), 0) + header + body


TO_THE_WIRE = {
    "": b"",  # number 0 is a probe
    "no header": framed(b""),
    "no JSON": framed(b"{x"),
    "a list": framed(b"[]"),
    "an endless header": b"\xff" * 4 + bytes(9),
    "an endless body": bytes(4) + b"\xff" * 8 + bytes(1),
    "a descriptor": bytes(12) + b"\1",
    "nothing": framed(b"{}"),
    "no arrays": framed(b'{"names":[]}'),
    "arrays of no form": framed(b'{"names":[],"arrays":7}'),
    "objects": framed(b'{"names":[],"arrays":[["|O",[1]]]}', bytes(8)),
    "a size of none": framed(b'{"names":[],"arrays":[["<f4",[null]]]}'),
    "a negative size": framed(b'{"names":[],"arrays":[["<f4",[-1,-1]]]}', bytes(4)),
    "too few bytes": framed(b'{"names":[],"arrays":[["<f4",[2]]]}', bytes(7)),
    "too many bytes": framed(b'{"names":[],"arrays":[["<f4",[2]]]}', bytes(9)),
    "an error of no form": framed(b'{"code":"x"}'),
}
"""What a process may send in place of an answer."""


class Prober:
    """Takes the worker's place."""

    def __init__(self, line: Line, *_: object) -> None:
        self._line = line
        self._socket = line._end

    def serve(self) -> None:
        self._line.send({"ready": True})
        while True:
            message = self._line.receive(2**40, 2**32)
            if message.header["op"] == "load":
                self._line.send({"inputs": [["x", "<f4", [None]]]})
            elif message.header["op"] == "run":
                self._probe(message)

    def _probe(self, message: Message) -> None:
        number = int(unpacked(message.header["arrays"], message.body)[0].ravel()[0])
        if number < 0:
            self._socket.sendall(list(TO_THE_WIRE.values())[-number])
            return
        try:
            text = str(list(PROBES.values())[number]())
        except OSError as error:
            text = f"errno {error.errno}"
        except MemoryError:
            self._line.send({"code": "run-too-large", "detail": "no memory", "extensions": {}})
            return
        rows, body = packed([np.frombuffer(text.encode(), np.uint8)])
        self._line.send({"names": [], "arrays": rows}, body)


if __name__ == "__main__":
    replaced: Any = zygote
    replaced.Worker = Prober
    replaced.warm_up = lambda: torch.set_num_threads(1)  # no program runs here
    zygote.main()
