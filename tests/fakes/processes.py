"""Programs that run in this process: what the engine does with processes, without any."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from flstore_core.ids import JobId
from flstore_core.models.base import Model, Program
from flstore_core.models.loading import Loaded, load
from flstore_core.models.runnable import Runnable
from flstore_core.models.running import Running
from flstore_core.workloads import InputSpec


class OwnProcess:
    """A program in this process."""

    def __init__(self, loaded: Loaded, running: Running) -> None:
        self._loaded = loaded
        self._running = running

    @property
    def inputs(self) -> Sequence[InputSpec]:
        return self._loaded.inputs

    def bind(self, parts: Sequence[tuple[float, Model]], scale: float) -> Runnable:
        return self._loaded.bind([(weight, model.memory.data) for weight, model in parts], scale, self._running)


@dataclass
class OwnProcesses:
    """Loads a program anew for each lease, and notes which jobs are forgotten and how many leases there are."""

    forgotten: list[JobId] = field(default_factory=list)
    leased: int = 0

    @contextmanager
    def lease(self, program: Program, running: Running) -> Iterator[OwnProcess]:
        self.leased += 1
        try:
            yield OwnProcess(load(program.schema, program.memory.data.data), running)
        finally:
            self.leased -= 1

    def forget(self, job: JobId) -> None:
        self.forgotten.append(job)
