"""Settings that the processes of this machine would refuse, refused before any of them is started.

A shard reads its settings when it is first needed, which may be hours after `flstore up`; a wrong one would then end
it again and again. So everything that a process would read is read here first, by the same code.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from flstore_core.environment import misspelt
from flstore_core.errors import InvalidParameters
from services.common.logs import level_from
from services.common.memory import check_cache, memory_limit
from services.common.proof import LOOPBACK, Keys
from services.common.serve import Listen
from services.console.settings import Settings as ConsoleSettings
from services.gateway.settings import Settings as GatewaySettings
from services.placement.settings import Settings as PlacementSettings
from services.placement.settings import can_predict
from services.predictor.settings import Settings as PredictorSettings
from services.shard.settings import Settings as ShardSettings

HOST = "127.0.0.1"
LOCAL = "local"
OWN: Final = frozenset({"FLSTORE_PLACEMENT_URL", "FLSTORE_SHARD_ID", "FLSTORE_LISTEN_FD", "FLSTORE_LIFELINE_FD"})
"""Variables that every process of `flstore up` gets a value of its own for."""
SHARDS_CACHE = "FLSTORE_CACHE_BYTES"
PREDICTORS_CACHE = "FLSTORE_PREDICTOR_CACHE_BYTES"


def check(env: Mapping[str, str]) -> None:
    """Raise `InvalidParameters` naming the first variable that a process which may be started here refuses."""
    level_from(env)
    Listen.from_env(env)
    Keys.from_env(env)
    GatewaySettings.from_env(env)
    ConsoleSettings.from_env(env)
    controller = PlacementSettings.from_env(env)
    if controller.runtime != LOCAL:
        raise InvalidParameters(f"FLSTORE_RUNTIME is {controller.runtime!r}; `flstore up` runs processes, so unset it")
    limit = memory_limit()
    check_cache(ShardSettings.from_env(env).cache_bytes, limit)
    if controller.predictors:
        if not can_predict():
            raise InvalidParameters(
                f"FLSTORE_PREDICTORS is {controller.predictors}, and predictors need packages that are missing: "
                "pip install 'flstore-server[torch]'"
            )
        _check_predictor(env, controller.predictor_cache_bytes, limit)


def warnings(env: Mapping[str, str]) -> Iterator[str]:
    """Yield what a user should know of settings that are taken, but may not do what was meant."""
    yield from misspelt(env)
    for name in sorted(OWN & env.keys()):
        yield f"{name} is not used here; `flstore up` chooses it for each of its processes"
    yield from GatewaySettings.from_env(env).warnings(memory_limit())
    host = env.get("FLSTORE_HOST") or HOST
    if host not in LOOPBACK and not env.get("FLSTORE_TOKENS"):
        yield (
            f"the gateway listens at {host}, and whoever reaches it may read, change and delete everything; set "
            "FLSTORE_TOKENS (docs/security.md)"
        )
    if not env.get("FLSTORE_STORE", "").startswith("s3://"):
        for name in sorted(name for name in env if name.startswith("FLSTORE_S3_") and env[name]):
            yield f"{name} has no effect, since FLSTORE_STORE is no s3:// URL"


def _check_predictor(env: Mapping[str, str], cache_bytes: int, limit: int | None) -> None:
    """Check what a predictor is started with: here its cache has a variable of its own."""
    try:
        settings = PredictorSettings.from_env({**env, SHARDS_CACHE: str(cache_bytes)})
    except InvalidParameters as error:
        raise InvalidParameters(error.detail.replace(SHARDS_CACHE, PREDICTORS_CACHE)) from error
    check_cache(settings.cache_bytes, limit, PREDICTORS_CACHE)
