"""Settings that the processes of this machine would refuse, refused before any of them is started.

A shard reads its settings when it is first needed, which may be hours after `flstore up`; a wrong one would then end
it again and again. So everything that a process would read is read here first, by the same code.
"""

from collections.abc import Mapping

from flstore_core.errors import InvalidParameters
from services.common.logs import level_from
from services.common.memory import check_cache, memory_limit
from services.common.proof import Keys
from services.common.serve import Listen
from services.gateway.settings import Settings as GatewaySettings
from services.placement.settings import Settings as PlacementSettings
from services.predictor.settings import Settings as PredictorSettings
from services.shard.settings import Settings as ShardSettings

LOCAL = "local"
SHARDS_CACHE = "FLSTORE_CACHE_BYTES"
PREDICTORS_CACHE = "FLSTORE_PREDICTOR_CACHE_BYTES"


def check(env: Mapping[str, str]) -> None:
    """Raise `InvalidParameters` naming the first variable that gateway, controller, shards or predictors refuse."""
    level_from(env)
    Listen.from_env(env)
    Keys.from_env(env)
    GatewaySettings.from_env(env)
    controller = PlacementSettings.from_env(env)
    if controller.runtime != LOCAL:
        raise InvalidParameters(f"FLSTORE_RUNTIME is {controller.runtime!r}; `flstore up` runs processes, so unset it")
    limit = memory_limit()
    check_cache(ShardSettings.from_env(env).cache_bytes, limit)
    if controller.predictors:
        _check_predictor(env, controller.predictor_cache_bytes, limit)


def _check_predictor(env: Mapping[str, str], cache_bytes: int, limit: int | None) -> None:
    """Check what a predictor is started with: here its cache has a variable of its own."""
    try:
        settings = PredictorSettings.from_env({**env, SHARDS_CACHE: str(cache_bytes)})
    except InvalidParameters as error:
        raise InvalidParameters(error.detail.replace(SHARDS_CACHE, PREDICTORS_CACHE)) from error
    check_cache(settings.cache_bytes, limit, PREDICTORS_CACHE)
