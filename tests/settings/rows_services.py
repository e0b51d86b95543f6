"""Rows of the settings that every service reads, and of those of gateways, shards and predictors."""

from collections.abc import Callable, Mapping
from typing import Any

from flstore_core.errors import FLStoreError
from services.common.proof import Keys
from services.console.settings import Settings as ConsoleSettings
from services.predictor.settings import Settings
from tests.settings.booted import backend, backends, booted, controller, everywhere, gateway, process
from tests.settings.row import Env, Row

KEY = 43 * "k"
TOKENS = '[{"token": "t"}]'
SMALL = {"FLSTORE_CACHE_BYTES": "1MiB"}


def _refusal(call: Callable[[], object]) -> str:
    """Return the code of the error that a call ends with; "" for none."""
    try:
        call()
    except FLStoreError as error:
        return error.code
    return ""


def _start(service: str, env: Env) -> None:
    with booted(service, env):
        pass


def _busy(state: Any) -> str:
    state.uploads.used = 600
    return _refusal(state.uploads.hold(600).__enter__)


def _prefix(env: Env) -> object:
    with booted("gateway", env) as seen:
        seen.state("gateway").close()
        return [each.kwargs["prefix"] for each in seen.apps[0].user_middleware if "prefix" in each.kwargs]


def _names(env: Env) -> object:
    with booted("shard", env) as shard, booted("predictor", env) as predictor:
        return [shard.logged[0][0], predictor.logged[0][0]]


def _renewal(env: Env) -> object:
    with booted("gateway", env) as seen:
        seen.state("gateway").close()
        renewal = seen.options[0]["renewal"]
        return [renewal.requests, renewal.seconds]


CONSOLE: Mapping[str, Row] = {
    "CONSOLE_URL": Row(":8090", gateway(lambda state: state.settings.console_url), ":8090"),
    "CONSOLE_API_URL": Row(
        "https://fl.example.org/", lambda env: ConsoleSettings.from_env(env).api_url, "https://fl.example.org"
    ),
    "CONSOLE_GRAFANA_URL": Row(
        "http://there/g/", lambda env: ConsoleSettings.from_env(env).grafana_url, "http://there/g"
    ),
    "CONSOLE_SESSION_SECONDS": Row("60", lambda env: ConsoleSettings.from_env(env).session_seconds, 60.0),
}

SERVICES: Mapping[str, Row] = {
    "HOST": Row("localhost", everywhere(lambda seen: seen.listens[0].host), 4 * ["localhost"]),
    "PORT": Row("9000", everywhere(lambda seen: seen.listens[0].port), 4 * [9000]),
    "LISTEN_FD": Row("7", everywhere(lambda seen: seen.listens[0].listen_fd), 4 * [7]),
    "LIFELINE_FD": Row("9", everywhere(lambda seen: seen.listens[0].lifeline_fd), 4 * [9]),
    "GRACE_SECONDS": Row("11", everywhere(lambda seen: seen.listens[0].grace_s), 4 * [11]),
    "LOG_LEVEL": Row("debug", everywhere(lambda seen: seen.logged[0][1]), 4 * ["DEBUG"]),
    "SERVICE_KEYS": Row(
        f"{KEY},{KEY}2",
        lambda env: Keys.from_env(env).secrets,
        (KEY.encode(), f"{KEY}2".encode()),
        {"FLSTORE_SERVICE_KEYS": "none"},
    ),
    "ADMIT_UNSIGNED": Row(
        "true",
        lambda env: Keys.from_env(env).admit_unsigned,
        True,
        {"FLSTORE_SERVICE_KEYS": KEY},
    ),
}

GATEWAY: Mapping[str, Row] = {
    "PLACEMENT_URL": Row("http://there:1/", gateway(lambda state: state.backends.placement._url), "http://there:1"),
    "TOKENS": Row(
        TOKENS, gateway(lambda state: _refusal(lambda: state.tokens.check("", "j", write=False))), "unauthorized"
    ),
    "METRICS_TOKEN": Row(
        "scraper",
        gateway(lambda state: _refusal(lambda: state.tokens.check_metrics("Bearer scraper"))),
        "",
        {"FLSTORE_TOKENS": TOKENS},
    ),
    "UPLOAD_LIMIT": Row("1000", gateway(lambda state: _refusal(state.uploads.hold(1001).__enter__)), "too-large"),
    "IN_FLIGHT_BYTES": Row("1000", gateway(_busy), "busy"),
    "UPLOAD_PATIENCE_SECONDS": Row("1.5", gateway(lambda state: state.settings.upload_patience_seconds), 1.5),
    "RECORDS_BYTES": Row("1MiB", gateway(lambda state: state.rounds.records.cache.snapshot()["budget_bytes"]), 2**20),
    "MODELS_BYTES": Row("1MiB", gateway(lambda state: state.newest.budget), 2**20),
    "REFRESH_SECONDS": Row(
        "0.25",
        lambda env: [
            gateway(lambda state: state.rounds.catalog._refresh_seconds)(env),
            backend("predictor", lambda state: state.versions._refresh_seconds)(env),
        ],
        [0.25, 0.25],
    ),
    "SHARD_TIMEOUT_SECONDS": Row(
        "7", gateway(lambda state: state.backends.shards._calls._http.connection_pool_kw["timeout"].total), 7.0
    ),
    "ROOT_PATH": Row("/below", _prefix, ["/below"]),
    "THREADS": Row("3", gateway(lambda state: state.workers.pool._max_workers), 3),
    "CONNECTION_REQUESTS": Row("7", _renewal, [7, 20.0]),
    "CONNECTION_SECONDS": Row("3", _renewal, [2000, 3.0]),
    "QUESTION_BYTES": Row("1MiB", gateway(lambda state: state.runner._limits.nbytes), 2**20),
    "QUESTION_OPERATIONS": Row("1000", gateway(lambda state: state.runner._limits.operations), 1000),
}

BACKENDS: Mapping[str, Row] = {
    "SHARD_ID": Row("unit-7", _names, ["unit-7", "unit-7"]),
    "CACHE_BYTES": Row("1MiB", backends(lambda state: state.engine._cache.snapshot()["budget_bytes"]), 2 * [2**20]),
    "POLICY": Row("lfu", backends(lambda state: state.engine._cache.snapshot()["policy"]), 2 * ["lfu"], SMALL),
    "IDLE_SECONDS": Row("0.000001", backends(lambda state: state.should_leave()), [True, True], SMALL),
    "COMPUTE_THREADS": Row("3", backends(lambda state: state.limiter.total_tokens), [3, 3], SMALL),
    "DEVICE": Row("cuda", backend("predictor", lambda state: state.processes._launcher._device), "cuda", SMALL),
    "TORCH_THREADS": Row("97", backend("predictor", lambda state: state.processes.bounds.threads), 97, SMALL),
    "RUN_SECONDS": Row("7", backend("predictor", lambda state: state.engine._limits.seconds), 7.0, SMALL),
    "RUN_BYTES": Row("1MiB", backend("predictor", lambda state: state.engine._limits.nbytes), 2**20, SMALL),
    "MEMORY_BYTES": Row("3MiB", process("memory"), 3 * 2**20, SMALL),
    "MODEL_FOLDER": Row("nowhere", lambda env: _refusal(lambda: _start("predictor", env)), "invalid-parameters", SMALL),
    "MODEL_NAME": Row("digits", lambda env: Settings.from_env(env).model_name, "digits"),
}

CONTROLLER: Mapping[str, Row] = {
    "RUNTIME": Row("knative", controller(lambda seen: seen.prepared["runtime"]), "knative"),
    "SHARDS": Row(
        "3",
        controller(lambda seen: [spec.id for spec in seen.prepared["settings"].specs()]),
        ["shard-0", "shard-1", "shard-2"],
        {"FLSTORE_PREDICTORS": "0"},
    ),
    "PREDICTORS": Row(
        "2",
        controller(lambda seen: [spec.id for spec in seen.prepared["settings"].specs()]),
        ["shard-0", "predictor-0", "predictor-1"],
        {"FLSTORE_SHARDS": "1"},
    ),
    "PREDICTOR_CACHE_BYTES": Row(
        "1MiB",
        controller(lambda seen: [spec.cache_bytes for spec in seen.prepared["settings"].specs()]),
        [2**21, 2**20],
        {"FLSTORE_SHARDS": "1", "FLSTORE_PREDICTORS": "1", "FLSTORE_CACHE_BYTES": "2MiB"},
    ),
    "RESYNC_SECONDS": Row("1.5", controller(lambda seen: seen.prepared["settings"].resync_s), 1.5),
}
