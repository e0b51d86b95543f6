"""Settings of the placement controller, read from an environment that is handed in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from flstore_core.errors import InvalidParameters
from flstore_core.ids import ShardId
from flstore_core.units import parse_size
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
    """FLSTORE_RESYNC_SECONDS: seconds between looks at the store for jobs that no gateway announced."""

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise InvalidParameters(f"FLSTORE_RUNTIME is {self.runtime!r}; use one of {', '.join(RUNTIMES)}")
        if not 1 <= self.shards <= 1000:
            raise InvalidParameters(f"FLSTORE_SHARDS is {self.shards}; use 1 to 1000")
        if not 0 <= self.predictors <= 1000:
            raise InvalidParameters(f"FLSTORE_PREDICTORS is {self.predictors}; use 0 to 1000")
        if self.cache_bytes < 1:
            raise InvalidParameters(f"FLSTORE_CACHE_BYTES is {self.cache_bytes}; use at least 1")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings; raise `InvalidParameters` if one is not a number or out of range."""
        return cls(
            store=env.get("FLSTORE_STORE") or ".flstore/store",
            runtime=env.get("FLSTORE_RUNTIME") or "local",
            shards=int(_number(env, "FLSTORE_SHARDS", 2)),
            cache_bytes=parse_size(env.get("FLSTORE_CACHE_BYTES") or "512MiB"),
            policy=env.get("FLSTORE_POLICY") or "tailored",
            idle_s=_number(env, "FLSTORE_IDLE_SECONDS", 60.0),
            predictors=int(_number(env, "FLSTORE_PREDICTORS", float(_can_predict()))),
            predictor_cache_bytes=parse_size(env.get("FLSTORE_PREDICTOR_CACHE_BYTES") or "512MiB"),
            resync_s=_number(env, "FLSTORE_RESYNC_SECONDS", 60.0),
        )

    def specs(self) -> tuple[BackendSpec, ...]:
        """Return the backends that there may be: `shard-0`, `shard-1`, …, `predictor-0`, …"""
        return (
            *self._pool_specs(Kind.SHARD, self.shards, self.cache_bytes),
            *self._pool_specs(Kind.PREDICTOR, self.predictors, self.predictor_cache_bytes),
        )

    def _pool_specs(self, kind: Kind, count: int, cache_bytes: int) -> Iterator[BackendSpec]:
        for index in range(count):
            yield BackendSpec(ShardId(f"{kind}-{index}"), cache_bytes, self.policy, self.idle_s, kind)


def _can_predict() -> bool:
    """Say whether this interpreter, which starts the predictors, has the packages that they import."""
    return all(find_spec(module) is not None for module in ("torch", "kserve"))


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidParameters(f"{name} is {text!r}; use a number") from error
    if not 0 <= value < float("inf"):
        raise InvalidParameters(f"{name} is {text!r}; use a number that is not negative")
    return value
