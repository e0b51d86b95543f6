"""Settings of the placement controller, read from an environment that is handed in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from flstore_core.ids import ShardId
from flstore_core.policies.registry import check_policy
from services.common.settings import Variables, one_of, read, seconds, size, some_seconds, whole
from services.placement.runtime import BackendSpec, Kind

RUNTIMES = ("local", "knative")


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that a controller has on a laptop and on a cluster."""

    store: str = ".flstore/store"
    """FLSTORE_STORE: URL or directory of the object store."""
    runtime: str = "local"
    """FLSTORE_RUNTIME: where backends run: `local` for processes of this machine, or `knative`."""
    shards: int = 2
    """FLSTORE_SHARDS: number of shards; on Knative, the most there may be."""
    cache_bytes: int = 512 << 20
    """FLSTORE_CACHE_BYTES: budget of each shard's cache, in bytes or like `512MiB`."""
    policy: str = "tailored"
    """FLSTORE_POLICY: name of the shards' caching policy."""
    idle_s: float = 60.0
    """FLSTORE_IDLE_SECONDS: seconds without a data request after which a backend goes to zero; 0 for never."""
    predictors: int = 0
    """FLSTORE_PREDICTORS: number of predictors; by default 1 if PyTorch and kserve are installed, else 0."""
    predictor_cache_bytes: int = 512 << 20
    """FLSTORE_PREDICTOR_CACHE_BYTES: budget of each predictor's cache of whole models."""
    resync_s: float = 60.0
    """FLSTORE_RESYNC_SECONDS: seconds between two looks at the store for jobs that no gateway has announced."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings; raise `InvalidParameters` naming a variable that does not fit."""
        variables: Variables = {
            "FLSTORE_STORE": ("store", str),
            "FLSTORE_RUNTIME": ("runtime", one_of(RUNTIMES)),
            "FLSTORE_SHARDS": ("shards", whole(1, 1000)),
            "FLSTORE_CACHE_BYTES": ("cache_bytes", size()),
            "FLSTORE_POLICY": ("policy", check_policy),
            "FLSTORE_IDLE_SECONDS": ("idle_s", seconds),
            "FLSTORE_PREDICTORS": ("predictors", whole(0, 1000)),
            "FLSTORE_PREDICTOR_CACHE_BYTES": ("predictor_cache_bytes", size()),
            "FLSTORE_RESYNC_SECONDS": ("resync_s", some_seconds),
        }
        return cls(**{"predictors": int(can_predict()), **read(env, variables)})

    def specs(self) -> tuple[BackendSpec, ...]:
        """Return the backends that there may be: `shard-0`, `shard-1`, …, `predictor-0`, …"""
        return (
            *self._pool_specs(Kind.SHARD, self.shards, self.cache_bytes),
            *self._pool_specs(Kind.PREDICTOR, self.predictors, self.predictor_cache_bytes),
        )

    def _pool_specs(self, kind: Kind, count: int, cache_bytes: int) -> Iterator[BackendSpec]:
        for index in range(count):
            yield BackendSpec(ShardId(f"{kind}-{index}"), cache_bytes, self.policy, self.idle_s, kind)


def can_predict() -> bool:
    """Say whether this interpreter, which starts the predictors, has the packages that they import."""
    return all(find_spec(module) is not None for module in ("torch", "kserve"))
