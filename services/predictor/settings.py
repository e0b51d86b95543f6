"""Settings of a predictor, read from an environment that is handed in."""

import os
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from flstore_core.buffers import IDLE_SHARE
from flstore_core.errors import InvalidParameters
from flstore_core.ids import ShardId, job_id, shard_id
from flstore_core.policies.registry import check_policy
from flstore_core.units import format_size
from services.common.settings import Variables, read, seconds, size, some_seconds, whole
from services.predictor.confined.limits import Bounds, hide

NAME = ShardId("predictor-0")
OWN_BYTES = 512 * 2**20
"""What a predictor takes beside its cache: itself, and PyTorch in the process that others are forked from. Together
they take some 450 MiB."""
MAPPED_BYTES = 2**40
"""Addresses for a program and the models that it is given. Mapping costs none of the process's own memory."""
LEAST_PROGRAM_BYTES = 64 * 2**20
"""What a program's process may allocate however little FLSTORE_MEMORY_BYTES leaves; with less hardly anything runs."""
PROGRAM_SHARE = 0.9
"""Share of its container's memory that a predictor takes, if nobody says how much."""
DEVICES = ("cpu", "cuda")
WAITING = 2
"""Processes that may wait for their program's next request, beside one for each computing thread."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a predictor needs to know."""

    predictor: ShardId = NAME
    """FLSTORE_SHARD_ID or K_SERVICE: its name in the placement table; on Knative the name of its service."""
    store: str = ".flstore/store"
    """FLSTORE_STORE: URL or directory of the object store."""
    cache_bytes: int = 512 * 2**20
    """FLSTORE_CACHE_BYTES: budget of the cache of models, programs and data sets, in bytes."""
    policy: str = "tailored"
    """FLSTORE_POLICY: caching policy, by name."""
    idle_seconds: float = 0.0
    """FLSTORE_IDLE_SECONDS: leave after so long without a data request; 0 stays until told to leave."""
    refresh_seconds: float = 2.0
    """FLSTORE_REFRESH_SECONDS: after so long, a job's program and newest round are read from the store again."""
    compute_threads: int = 2
    """FLSTORE_COMPUTE_THREADS: requests that compute at once."""
    device: str = "cpu"
    """FLSTORE_DEVICE: where programs compute: `cpu`, or `cuda` for the GPU that the predictor has, with a PyTorch built
    for it."""
    torch_threads: int = 0
    """FLSTORE_TORCH_THREADS: cores that one operator may use; 0 for all cores."""
    run_seconds: float = 600.0
    """FLSTORE_RUN_SECONDS: how long a workload may run models before it is ended."""
    run_bytes: int = 2**30
    """FLSTORE_RUN_BYTES: memory that a program's intermediate results may hold at one time."""
    memory_bytes: int = 0
    """FLSTORE_MEMORY_BYTES: most memory that the predictor may take, its programs' processes included; 0 for no limit.
    It says how much each of those may allocate."""
    model_folder: str = ""
    """FLSTORE_MODEL_FOLDER: folder of one model, as `flstore fetch-model` writes it, to serve alone and to everybody
    who asks; empty for the models of a store, which are served to the services of a deployment."""
    model_name: str = ""
    """FLSTORE_MODEL_NAME: name under which that one model is asked for; by default the name of its job."""

    def __post_init__(self) -> None:
        for name, nbytes in (("FLSTORE_CACHE_BYTES", self.cache_bytes), ("FLSTORE_RUN_BYTES", self.run_bytes)):
            if 0 < self.memory_bytes < nbytes:
                raise InvalidParameters(
                    f"{name} is {format_size(nbytes)} and FLSTORE_MEMORY_BYTES {format_size(self.memory_bytes)}: the "
                    "process could never hold as much; raise the second or lower the first"
                )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Return the settings of an environment; raise `InvalidParameters` naming a variable that does not fit."""
        variables: Variables = {
            "K_SERVICE": ("predictor", shard_id),
            "FLSTORE_SHARD_ID": ("predictor", shard_id),
            "FLSTORE_STORE": ("store", str),
            "FLSTORE_CACHE_BYTES": ("cache_bytes", size()),
            "FLSTORE_POLICY": ("policy", check_policy),
            "FLSTORE_IDLE_SECONDS": ("idle_seconds", seconds),
            "FLSTORE_REFRESH_SECONDS": ("refresh_seconds", seconds),
            "FLSTORE_COMPUTE_THREADS": ("compute_threads", whole(1, 1000)),
            "FLSTORE_DEVICE": ("device", _device),
            "FLSTORE_TORCH_THREADS": ("torch_threads", whole(0, 1000)),
            "FLSTORE_RUN_SECONDS": ("run_seconds", some_seconds),
            "FLSTORE_RUN_BYTES": ("run_bytes", size()),
            "FLSTORE_MEMORY_BYTES": ("memory_bytes", size(0)),
            "FLSTORE_MODEL_FOLDER": ("model_folder", str),
            "FLSTORE_MODEL_NAME": ("model_name", job_id),
        }
        values = read(env, variables)
        if values.get("memory_bytes") and "run_bytes" not in values:
            settings = cls(**{**values, "run_bytes": 0})
            values["run_bytes"] = min(settings.program_bytes, settings.memory_bytes, cls().run_bytes)
        return cls(**values)

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each setting that has no effect because of another."""
        if self.model_name and not self.model_folder:
            yield "FLSTORE_MODEL_NAME has no effect without FLSTORE_MODEL_FOLDER: models go by the names of their jobs"

    def holding(self, nbytes: int, limit: int | None) -> "Settings":
        """Return the settings of a predictor that holds `nbytes` for good, and has no other use for a cache.

        Args:
            limit: of the process's control group, whose share it keeps to unless FLSTORE_MEMORY_BYTES says another.

        Raises:
            InvalidParameters: if so much cannot be held.
        """
        memory_bytes = self.memory_bytes or int(PROGRAM_SHARE * (limit or 0))
        least = nbytes + OWN_BYTES + LEAST_PROGRAM_BYTES
        if 0 < memory_bytes < least:
            raise InvalidParameters(
                f"the model takes {format_size(nbytes)}, with the predictor and its program {format_size(least)}, and "
                f"there are {format_size(memory_bytes)}; raise the memory limit of its container"
            )
        held = replace(self, cache_bytes=nbytes, memory_bytes=memory_bytes, run_bytes=0)
        return replace(held, run_bytes=min(self.run_bytes, held.program_bytes) if memory_bytes else self.run_bytes)

    @property
    def processes(self) -> int:
        """Processes of programs that there may be at one time."""
        return self.compute_threads + WAITING

    @property
    def program_bytes(self) -> int:
        """Memory that the process of one program may allocate.

        Example: of 2 GiB, a cache of 512 MiB, the eighth of it that is kept for the next arrays, and the predictor
        itself leave 960 MiB. Two threads compute, so two programs may run at once, and have 480 MiB each.
        """
        if not self.memory_bytes:
            return 2 * self.run_bytes  # as much again for what operators take for themselves
        rest = self.memory_bytes - self.cache_bytes - self.cache_bytes // IDLE_SHARE - OWN_BYTES
        return max(LEAST_PROGRAM_BYTES, rest // self.compute_threads)

    def bounds(self) -> Bounds:
        """Return what the process of one program may take."""
        cores = self.torch_threads or len(os.sched_getaffinity(0))
        # Twice the time of one run: a process is ended between runs once it has used half of it.
        return Bounds(self.program_bytes, MAPPED_BYTES, 2 * self.run_seconds, cores)

    def apply(self) -> None:
        """Set what holds for the whole process: its memory limit, and that no other process looks into it."""
        hide()
        if self.memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (self.memory_bytes, self.memory_bytes))


def _device(name: str) -> str:
    if name not in DEVICES:
        raise InvalidParameters(f"there is no device {name!r:.40}; use {' or '.join(DEVICES)}")
    return name
