"""The parts of a predictor of one model, and how they are wired together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from anyio import CapacityLimiter
from numpy.typing import NDArray

from flstore_core.errors import NotFound
from flstore_core.ids import JobId
from flstore_core.models.base import Process, Processes
from flstore_core.models.folder import read_contents
from flstore_core.models.running import Limits, Running
from flstore_core.workloads import InputSpec
from services.common.activity import Activity
from services.predictor.confined.launch import Launcher
from services.predictor.confined.pool import Pool
from services.predictor.settings import Settings
from services.predictor.standalone.reading import Stored, read
from services.predictor.state import Computing
from services.predictor.versions import ordered


class OneModel:
    """Implements `services.predictor.kserving.Models`: one name, one version. Safe to share between threads."""

    def __init__(self, name: JobId, stored: Stored, processes: Processes, limits: Limits) -> None:
        self.name = name
        self._stored = stored
        self._version = str(stored.name)
        self._processes = processes
        self._limits = limits

    def infer(self, job: JobId, version: str, inputs: Mapping[str, NDArray[Any]]) -> tuple[str, list[NDArray[Any]]]:
        self.check(job, version)
        with self._leased() as process:
            model = process.bind([(1.0, self._stored.model)], 1.0)
            return self._version, list(model(*ordered(inputs, process.inputs)))

    def inputs(self, job: JobId) -> Sequence[InputSpec]:
        self.check(job, "")
        with self._leased() as process:
            return process.inputs

    def check(self, job: JobId, version: str) -> None:
        if job != self.name or version not in ("", self._version):
            raise NotFound(f"this predictor has model {self.name!r} in version {self._version!r}, and no other")

    def jobs(self) -> list[JobId]:
        return [self.name]

    def load(self) -> None:
        """Load the program, so that no request has to; raise `InvalidProgram` or `SchemaMismatch` if it cannot run."""
        self.inputs(self.name)

    @contextmanager
    def _leased(self) -> Iterator[Process]:
        with self._processes.lease(self._stored.program, Running(self._limits, monotonic)) as process:
            yield process


@dataclass(frozen=True)
class State(Computing):
    """What the endpoints share."""

    versions: OneModel


def create_state(
    settings: Settings, limit: int | None, clock: Callable[[], float], launcher: Launcher | None = None
) -> State:
    """Return the parts of a predictor that serves the folder which the settings name.

    Args:
        limit: of this process's memory in bytes; None for none.
        clock: seconds, never going back.
        launcher: of the processes that programs run in, if it is shared.

    Raises:
        FLStoreError: if the folder cannot be served.
    """
    folder = Path(settings.model_folder)
    contents = read_contents(folder)
    settings = settings.holding(contents.nbytes, limit)
    stored = read(folder, contents)
    processes = Pool(
        launcher or Launcher(device=settings.device), settings.bounds(), settings.run_bytes, settings.processes, clock
    )
    name = JobId(settings.model_name or stored.job)
    return State(
        settings=settings,
        processes=processes,
        activity=Activity(clock),
        limiter=CapacityLimiter(settings.compute_threads),
        versions=OneModel(name, stored, processes, Limits(settings.run_seconds, settings.run_bytes)),
    )
