"""Settings of a predictor, read from an environment that is handed in."""

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass

from flstore_core.errors import InvalidParameters
from flstore_core.ids import ShardId, shard_id
from flstore_core.policies.registry import check_policy
from flstore_core.units import format_size
from services.common.settings import Variables, read, seconds, size, some_seconds, whole

NAME = ShardId("predictor-0")


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
    torch_threads: int = 0
    """FLSTORE_TORCH_THREADS: cores that one operator may use; 0 for all cores."""
    run_seconds: float = 600.0
    """FLSTORE_RUN_SECONDS: how long a workload may run models before it is ended."""
    run_bytes: int = 2**30
    """FLSTORE_RUN_BYTES: memory that a program's intermediate results may hold at one time."""
    memory_bytes: int = 0
    """FLSTORE_MEMORY_BYTES: most memory that the process may allocate; 0 for no limit. A program that asks for more is
    refused. Without a limit, the system would kill the process."""

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
            "FLSTORE_TORCH_THREADS": ("torch_threads", whole(0, 1000)),
            "FLSTORE_RUN_SECONDS": ("run_seconds", some_seconds),
            "FLSTORE_RUN_BYTES": ("run_bytes", size()),
            "FLSTORE_MEMORY_BYTES": ("memory_bytes", size(0)),
        }
        values = read(env, variables)
        if values.get("memory_bytes") and "run_bytes" not in values:
            values["run_bytes"] = min(values["memory_bytes"], cls().run_bytes)
        return cls(**values)

    def apply(self) -> None:
        """Set what holds for the whole process: PyTorch's threads and the memory limit."""
        import torch  # here, so that settings can be checked where there is no PyTorch, and in no time

        torch.set_num_threads(self.torch_threads or len(os.sched_getaffinity(0)))
        if self.memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (self.memory_bytes, self.memory_bytes))
