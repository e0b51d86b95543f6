"""What the engine needs of the processes that programs run in. `services.predictor.confined` starts them.

The engine keeps store and cache, and parses nothing of a program. It *leases* a process for one request at a time, and
puts models into it; what the process answers is data from a stranger and is checked where it arrives.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from flstore_core.ids import JobId
from flstore_core.models.memory import Memory
from flstore_core.models.running import Running
from flstore_core.schema import Schema
from flstore_core.workloads import InputSpec, RunnableModel

Array = NDArray[Any]


@dataclass(frozen=True)
class Program:
    """A program as it was uploaded, and the job whose models it runs. Nobody has looked into it yet."""

    job: JobId
    schema: Schema
    sha256: str
    memory: Memory

    @property
    def nbytes(self) -> int:
        return self.memory.nbytes


@dataclass(frozen=True)
class Model:
    """The data section of a model: as it is stored, or with its base added if that is a difference."""

    sha256: str
    """Of the stored bytes, and of its base's; see `ModelRef.content`."""
    schema: Schema
    memory: Memory

    @property
    def nbytes(self) -> int:
        return self.memory.nbytes


class Process(Protocol):
    """A process that has loaded one program."""

    @property
    def inputs(self) -> Sequence[InputSpec]:
        """What the program takes."""

    def bind(self, parts: Sequence[tuple[float, Model]], scale: float) -> RunnableModel:
        """Return the program with a weighted sum of models; a single model of weight 1 is taken as it is.

        Args:
            scale: factor of low-rank adapters, if the job stores any.
        """


class Processes(Protocol):
    """Processes for programs. Safe to share between threads."""

    def lease(self, program: Program, running: Running) -> AbstractContextManager[Process]:
        """Return a process that has loaded `program` and that nobody else uses meanwhile.

        Raises:
            InvalidProgram, SchemaMismatch: if the program cannot be loaded, or ends its process.
            RunTooLong, RunTooLarge: past the limits of the run.
        """

    def forget(self, job: JobId) -> None:
        """End the processes of a deleted job."""
