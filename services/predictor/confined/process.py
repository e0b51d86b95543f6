"""The predictor's side of one process: puts a program and models into it, and takes nothing on trust that it answers.

A model that is handed over by descriptor is handed over once: the process keeps it mapped for as long as the predictor
has it in its cache. Whatever else a request brings is gone when the request ends.

A process that ends, sends what is no answer or takes too long is *spoiled*: it is ended, and the next request gets
another.
"""

import select
import signal
import socket
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from time import monotonic
from typing import Any

from flstore_core.errors import (
    FLStoreError,
    InvalidParameters,
    InvalidProgram,
    InvalidTensors,
    RunTooLarge,
    RunTooLong,
    SchemaMismatch,
    Unavailable,
)
from flstore_core.flat import NUMPY_DTYPE
from flstore_core.models.base import Array, Model, Program
from flstore_core.models.memory import Memory
from flstore_core.models.running import Running
from flstore_core.workloads import InputSpec
from services.predictor.confined.wire import Ended, Line, Malformed, Message, packed, unpacked

LOOK_EVERY_S = 0.1
"""Seconds between two looks whether a run has taken too long, or nobody waits for it any more."""
LAST_WORD_S = 5.0
"""Seconds in which the zygote has to tell how a process ended."""
AHEAD, AHEAD_BYTES = 32, 2**16
"""Batches, and bytes of theirs, that may be on their way to a process and back at one time."""
_ERRORS: Mapping[str, type[FLStoreError]] = {
    kind.code: kind for kind in (InvalidParameters, InvalidProgram, RunTooLarge, SchemaMismatch)
}
"""What a process may answer. Any other code counts as an `InvalidProgram`."""
_DTYPES = {dtype.str: dtype for dtype in NUMPY_DTYPE.values()}


class ConfinedProcess:
    """Implements `flstore_core.models.base.Process`. One thread at a time may use it.

    Args:
        end: of the socket pair whose other end the process has.
        leash: of the one whose other end the zygote has. Once it is closed here, the zygote ends the process.
        run_bytes: memory that the program's intermediate results may hold at one time.
        answer_bytes: most that one answer may have.
    """

    def __init__(self, end: socket.socket, leash: socket.socket, run_bytes: int, answer_bytes: int) -> None:
        end.setblocking(False)
        self._end, self._leash = end, leash
        self._line = Line(end, self._wait)
        self._run_bytes, self._answer_bytes = run_bytes, answer_bytes
        self._running: Running
        self._numbers = count()
        self._kept: weakref.WeakKeyDictionary[Memory, int] = weakref.WeakKeyDictionary()
        self._gone: deque[tuple[str, int]] = deque()
        """Models and bindings that nobody here has any more. Finalizers fill it, at any moment and in any thread."""
        self.inputs: Sequence[InputSpec] = ()
        self.spoiled = False
        """Whether it cannot be used any more."""
        self.seconds = 0.0
        """For which it has worked."""
        self.close = weakref.finalize(self, _close, end, leash)

    @contextmanager
    def request(self, running: Running) -> Iterator[None]:
        """Let requests of one run be made; what they bring is forgotten at the end."""
        self._running = running
        try:
            yield
        finally:
            if not self.spoiled:
                with suppress(FLStoreError):  # then it is spoiled, and nobody minds
                    self._tell({"op": "done"})

    def is_waiting(self) -> bool:
        """Return whether it waits for a request. Otherwise it has ended, or says something that nobody asked for."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return not poll.poll(0)

    def load(self, program: Program) -> None:
        """Have the process load a program.

        Raises:
            InvalidProgram, SchemaMismatch: if that fails.
            Unavailable: if the process did not begin.
        """
        try:
            self._line.receive(0)
        except (Ended, Malformed) as error:
            self.spoiled = True
            raise Unavailable("no process for the program could be made; the predictor's log says why") from error
        header = {"op": "load", "schema": program.schema.to_json(), "run_bytes": self._run_bytes}
        self._tell(header, program.memory)
        reply = self._reply()
        with self._doubted():
            self.inputs = [_input(*row) for row in reply.header["inputs"]]

    def bind(self, parts: Sequence[tuple[float, Model]], scale: float) -> "Bound":
        """Return the program with a weighted sum of models."""
        numbers = [(weight, self._number(model.memory)) for weight, model in parts]
        bound = Bound(self, next(self._numbers), [model for _, model in parts])
        weakref.finalize(bound, self._gone.append, ("unbind", bound.number)).atexit = False
        self._tell({"op": "bind", "bound": bound.number, "parts": numbers, "scale": scale})
        return bound

    def run(self, bound: int, inputs: Sequence[Array], *, neurons: bool) -> tuple[list[str], list[Array]]:
        """Run the program; return the names of the results if they are neurons, and the results."""
        self._tell_run(bound, inputs, neurons=neurons)
        return self._results(neurons=neurons)

    def stream(self, bound: int, batches: Iterable[Sequence[Array]]) -> Iterator[list[Array]]:
        """Run the program over batch after batch, the next ones on their way while one is computed.

        Example: of batches of 256 bytes, 32 are on their way, and one process switches to the other that much less
        often. All that is on its way must fit what the kernel holds for the socket, since the process does not read
        while its answer waits to be read. Of batches whose size is beyond that, one is on its way.
        """
        ahead, waiting = 1, 0
        try:
            for inputs in batches:
                while waiting >= ahead:
                    waiting -= 1
                    outputs = self._results(neurons=False)[1]
                    ahead = _ahead([*inputs, *outputs])
                    yield outputs
                self._tell_run(bound, inputs, neurons=False)
                waiting += 1
            while waiting:
                waiting -= 1
                yield self._results(neurons=False)[1]
        finally:
            self.spoiled |= waiting > 0  # its next answer would not be to the next question

    def tidy(self) -> None:
        """Have the process give back what is gone here."""
        if self._gone:
            self._tell({"op": "done"})

    def _number(self, memory: Memory) -> int:
        """Return the number of a model, which the process is given if it does not have it."""
        number = self._kept.get(memory)
        if number is None:
            number = next(self._numbers)
            if memory.fd is not None:
                self._kept[memory] = number
                weakref.finalize(memory, self._gone.append, ("drop", number)).atexit = False
            self._tell({"op": "model", "model": number, "kept": memory.fd is not None}, memory)
        return number

    def _tell_run(self, bound: int, inputs: Sequence[Array], *, neurons: bool) -> None:
        rows, body = packed(inputs)
        self._tell({"op": "run", "bound": bound, "neurons": neurons, "arrays": rows}, body)

    def _results(self, *, neurons: bool) -> tuple[list[str], list[Array]]:
        """Return the names of the results of a run, if they are neurons, and the results."""
        reply = self._reply()
        with self._doubted():
            names, arrays = [str(name) for name in reply.header["names"]], unpacked(reply.header["arrays"], reply.body)
            if neurons and len(names) != len(arrays):
                raise Malformed("more names than results, or fewer")
        return names, arrays

    def _reply(self) -> Message:
        """Return the next answer; raise the error that it is."""
        began = monotonic()
        with self._doubted():
            reply = self._line.receive(self._answer_bytes)
            error = _error(reply.header) if "code" in reply.header else None
        self.seconds += monotonic() - began
        if error:
            raise error
        return reply

    def _tell(self, header: Mapping[str, Any], data: Memory | Sequence[memoryview] = ()) -> None:
        self._running.check()
        gone: dict[str, list[int]] = {"drop": [], "unbind": []}
        with suppress(IndexError):
            while True:
                kind, number = self._gone.popleft()
                gone[kind].append(number)
        header = {**header, **gone}
        with self._doubted():
            if not isinstance(data, Memory):
                self._line.send(header, data)
            elif data.fd is None:
                self._line.send(header, [data.data.data])
            else:
                self._line.send({**header, "nbytes": data.nbytes}, fds=[data.fd])

    @contextmanager
    def _doubted(self) -> Iterator[None]:
        """Spoil the process unless all goes well, and raise what the request is told."""
        try:
            yield
        except Ended as error:
            self.spoiled = True
            raise self._last_word() from error
        except (Malformed, InvalidTensors, LookupError, TypeError, ValueError) as error:
            self.spoiled = True
            raise InvalidProgram("the program's process sent what is no answer, and was ended") from error
        except BaseException:  # the run is over, and the process is still busy
            self.spoiled = True
            raise

    def _wait(self, writing: bool) -> None:
        poll = select.poll()
        poll.register(self._end, select.POLLOUT if writing else select.POLLIN)
        while not poll.poll(1000 * LOOK_EVERY_S):
            self._running.check()

    def _last_word(self) -> FLStoreError:
        """Return how the process ended, in the zygote's words."""
        self._leash.settimeout(LAST_WORD_S)
        try:
            text = self._leash.recv(16).decode()
        except OSError:
            return InvalidProgram("the program's process closed its connection, and was ended")
        if not text:
            return Unavailable("the process of the program ended with the one it was made by; try again")
        return _ended(int(text))


class Bound:
    """Implements `StreamingModel` of `flstore_core.workloads.model_access`."""

    def __init__(self, process: ConfinedProcess, number: int, models: Sequence[Model]) -> None:
        self.number = number
        self._process = process
        self._models = models  # the process has them for as long as somebody does here

    def __call__(self, *inputs: Array) -> list[Array]:
        return self._process.run(self.number, inputs, neurons=False)[1]

    def stream(self, batches: Iterable[Sequence[Array]]) -> Iterator[list[Array]]:
        return self._process.stream(self.number, batches)

    def neurons(self, *inputs: Array) -> dict[str, Array]:
        return dict(zip(*self._process.run(self.number, inputs, neurons=True), strict=True))


def _ahead(arrays: Sequence[Array]) -> int:
    """Return how many batches may be on their way whose inputs and outputs are as large as these."""
    return max(1, min(AHEAD, AHEAD_BYTES // (1 + sum(array.nbytes for array in arrays))))


def _ended(code: int) -> FLStoreError:
    """Return what a process says that ended with a return code as `subprocess` has it."""
    if code == -signal.SIGXCPU:
        return RunTooLong("the program used up its processor time, and its process was ended")
    if code == -signal.SIGKILL:
        return RunTooLarge("the system ended the program's process, most likely for the memory that it took")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
    return InvalidProgram(f"the program ended its process by {name}; PyTorch cannot compute what it asks for")


def _error(header: Mapping[str, Any]) -> FLStoreError:
    kind = _ERRORS.get(str(header["code"]), InvalidProgram)
    return kind(str(header["detail"])[:2000], **{str(name): value for name, value in header["extensions"].items()})


def _input(name: Any, dtype: str, shape: Sequence[Any]) -> InputSpec:
    if not all(size is None or type(size) is int for size in shape):
        raise Malformed("an input of no shape")
    return InputSpec(str(name), _DTYPES[dtype], tuple(shape))


def _close(*ends: socket.socket) -> None:
    for end in ends:
        end.close()
