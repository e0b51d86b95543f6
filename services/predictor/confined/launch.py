"""Starts the zygote, and has it fork processes."""

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from tempfile import TemporaryDirectory
from threading import Lock

from flstore_core.errors import InvalidParameters, Unavailable
from services.predictor.confined.limits import Bounds

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-I", "-B", "-m", "services.predictor.confined.zygote")
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""All that a zygote gets. OpenBLAS would start threads as soon as NumPy is imported."""
GPU_ENVIRONMENT = {**ENVIRONMENT, "CUDA_CACHE_DISABLE": "1"}
"""What it gets if programs compute on a GPU. CUDA would write files."""
FOR_GPUS = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
"""What it gets then of the predictor's own environment, to find the GPU and its driver."""


class Launcher:
    """Keeps a zygote, and starts another where one has ended. Safe to share between threads.

    Args:
        command: starts a zygote; the number of its socket's descriptor and the device are added.
        device: on which programs compute: `cpu` or `cuda`.
    """

    def __init__(self, command: Sequence[str] = COMMAND, device: str = "cpu") -> None:
        self._command = command
        self._device = device
        self._lock = Lock()
        self._running: _Zygote | None = None

    def start(self) -> None:
        """Start the zygote now, which takes some seconds; the first `fork` does it otherwise.

        Raises:
            InvalidParameters: if the device cannot be computed on.
        """
        with self._lock:
            self._zygote()

    def fork(self, bounds: Bounds) -> tuple[socket.socket, socket.socket]:
        """Return the end of a connection to a new process, and its leash: once that is closed, it is killed.

        Raises:
            Unavailable: if no process can be made.
        """
        with self._lock:
            try:
                return self._zygote().fork(bounds)
            except OSError:  # it has ended, and nobody has noticed
                self._end()
                return self._zygote().fork(bounds)

    def close(self) -> None:
        """End the zygote, and all processes with it."""
        with self._lock:
            self._end()

    def _zygote(self) -> "_Zygote":
        if self._running is None:
            self._running = _Zygote(self._command, self._device)
        return self._running

    def _end(self) -> None:
        if self._running is not None:
            self._running.close()
            self._running = None


class _Zygote:
    def __init__(self, command: Sequence[str], device: str) -> None:
        self._folder = TemporaryDirectory(prefix="flstore-")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [*command, f"{theirs.fileno()}", device],
                env=_environment(device),
                cwd=self._folder.name,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        hello = self._control.recv(4096)
        if not hello:
            self.close()
            raise Unavailable("the process that programs' processes are made by did not start; the log says why")
        said = json.loads(hello)
        if said["unready"]:
            self.close()
            raise InvalidParameters(f"FLSTORE_DEVICE is {device}: {said['unready']}")
        _tell(said["unfiltered"])

    def fork(self, bounds: Bounds) -> tuple[socket.socket, socket.socket]:
        end, its_end = socket.socketpair()
        leash, its_leash = socket.socketpair()
        with its_end, its_leash:
            try:
                fds = [its_end.fileno(), its_leash.fileno()]
                socket.send_fds(self._control, [json.dumps(asdict(bounds)).encode()], fds)
            except OSError:
                end.close()
                leash.close()
                raise
        return end, leash

    def close(self) -> None:
        self._control.close()
        self._process.wait()
        self._folder.cleanup()


def _environment(device: str) -> dict[str, str]:
    if device == "cpu":
        return ENVIRONMENT
    return {**GPU_ENVIRONMENT, **{name: os.environ[name] for name in FOR_GPUS if name in os.environ}}


def _tell(unfiltered: str) -> None:
    if unfiltered:
        logger.warning(
            "programs run in processes of their own, but without a filter of system calls (docs/security.md)",
            extra={"error": unfiltered},
        )
    else:
        logger.info("programs run in processes of their own, with a filter of system calls")
