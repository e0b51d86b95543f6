"""What runs in the process of one program: reads messages, and answers them until nobody sends any more.

    op        header                              beside it                answer
    load      schema, run_bytes                   the archive              inputs
    model     model, kept                         a model's data section   none
    bind      bound, parts, scale                                          none
    run       bound, neurons, arrays              inputs                   names, arrays, and outputs in the body
    done                                                                   none

Data comes in the body or, if it is large, as a descriptor to map. `drop` and `unbind` in any header list what nobody
uses any more; `done` ends a request, and with it what was bound in it. What is bound is computed by the first `run`, so
that a failure is that run's answer.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flstore_core.errors import FLStoreError, InvalidProgram, RunTooLarge
from flstore_core.models.devices import CPU
from flstore_core.models.loading import Loaded, load
from flstore_core.models.memory import mapped
from flstore_core.models.runnable import Runnable
from flstore_core.models.running import Limits, Running
from flstore_core.schema import Schema
from services.predictor.confined.wire import Array, Ended, Line, Message, packed, unpacked

ANYTHING = 2**63
"""Most bytes of a body. It comes from the predictor, which this process trusts."""
Data = NDArray[np.uint8]


@dataclass
class _Bound:
    parts: list[tuple[float, Data]]
    scale: float
    runnable: Runnable | None = None


class Worker:
    """Answers what the predictor asks of one program, which computes on a device."""

    def __init__(self, line: Line, device: torch.device = CPU) -> None:
        self._line = line
        self._device = device
        self._loaded: Loaded
        self._running: Running
        self._models: dict[int, Data] = {}
        self._copied: set[int] = set()
        """Models that are dropped when the request ends."""
        self._bound: dict[int, _Bound] = {}

    def serve(self) -> None:
        """Answer until the predictor closes the connection."""
        self._line.send({"ready": True})
        with suppress(Ended):
            while True:
                self._answer(self._line.receive(ANYTHING, ANYTHING))

    def _answer(self, message: Message) -> None:
        for model in message.header.get("drop", ()):
            self._models.pop(model, None)
        for bound in message.header.get("unbind", ()):
            self._bound.pop(bound, None)
        _OPERATIONS[message.header["op"]](self, message)

    def load(self, message: Message) -> None:
        """Load the program, and say what it takes."""
        self._reply(self._load, message)

    def keep_model(self, message: Message) -> None:
        """Keep a model for later `bind`s."""
        number = message.header["model"]
        self._models[number] = _data(message)
        if not message.header["kept"]:
            self._copied.add(number)

    def bind(self, message: Message) -> None:
        """Note which models a later `run` means."""
        header = message.header
        parts = [(weight, self._models[number]) for weight, number in header["parts"]]
        self._bound[header["bound"]] = _Bound(parts, header["scale"])

    def run(self, message: Message) -> None:
        """Run the program."""
        self._reply(self._run, message)

    def done(self, _: Message) -> None:
        """Forget what was for one request."""
        self._bound.clear()
        for number in self._copied:
            self._models.pop(number, None)
        self._copied.clear()

    def _load(self, message: Message) -> tuple[dict[str, Any], list[memoryview]]:
        header = message.header
        self._running = Running(Limits(float("inf"), header["run_bytes"]), lambda: 0.0)
        self._loaded = load(Schema.from_json(header["schema"]), _data(message).data, self._device)
        inputs = [[spec.name, spec.dtype.str, list(spec.shape)] for spec in self._loaded.inputs]
        return {"inputs": inputs}, []

    def _run(self, message: Message) -> tuple[dict[str, Any], list[memoryview]]:
        bound = self._bound[message.header["bound"]]
        if bound.runnable is None:
            bound.runnable = self._loaded.bind(bound.parts, bound.scale, self._running)
        inputs = unpacked(message.header["arrays"], message.body)
        if message.header["neurons"]:
            found = bound.runnable.neurons(*inputs)
            return _answer(list(found), found.values())
        return _answer([], bound.runnable(*inputs))

    def _reply(self, answer: Callable[[Message], tuple[dict[str, Any], list[memoryview]]], message: Message) -> None:
        """Send what `answer` returns, or why it failed."""
        try:
            header, body = answer(message)
        except Exception as error:
            self._line.send(_problem(error))
        else:
            self._line.send(header, body)


_OPERATIONS: Mapping[str, Callable[[Worker, Message], None]] = {
    "load": Worker.load,
    "model": Worker.keep_model,
    "bind": Worker.bind,
    "run": Worker.run,
    "done": Worker.done,
}


def _data(message: Message) -> Data:
    if not message.fds:
        return np.frombuffer(message.body, np.uint8)
    (fd,) = message.fds
    try:
        return mapped(fd, message.header["nbytes"])
    finally:
        os.close(fd)


def _answer(names: list[str], arrays: Iterable[Array]) -> tuple[dict[str, Any], list[memoryview]]:
    rows, body = packed(arrays)
    return {"names": names, "arrays": rows}, body


def _problem(error: Exception) -> dict[str, Any]:
    if isinstance(error, MemoryError):
        error = RunTooLarge("the program asks for more memory than its process may have")
    if not isinstance(error, FLStoreError):
        error = InvalidProgram(f"the program failed: {type(error).__name__}: {error}")
    return {"code": error.code, "detail": error.detail[:2000], "extensions": error.extensions}
