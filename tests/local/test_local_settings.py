"""`flstore up` refuses what any of its processes would refuse, before it starts the first."""

import re

import pytest

from flstore_core.errors import InvalidParameters
from services.local import settings as module
from services.local.settings import check, warnings

KEYS = {"FLSTORE_SERVICE_KEYS": 43 * "k", "FLSTORE_PREDICTORS": "1"}


def test_an_environment_without_settings_is_fine() -> None:
    check(KEYS)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"FLSTORE_LOG_LEVEL": "loud"}, "FLSTORE_LOG_LEVEL: 'LOUD' is not usable; use one of DEBUG"),
        ({"FLSTORE_GRACE_SECONDS": "0"}, "FLSTORE_GRACE_SECONDS: 0 is not usable"),
        ({"FLSTORE_SERVICE_KEYS": "short"}, "FLSTORE_SERVICE_KEYS: a key is too short"),
        (
            {"FLSTORE_SERVICE_KEYS": "none", "FLSTORE_HOST": "0.0.0.0"},
            "FLSTORE_SERVICE_KEYS is 'none' and FLSTORE_HOST",
        ),
        ({"FLSTORE_TOKENS": "secret"}, "FLSTORE_TOKENS must be a JSON list"),
        ({"FLSTORE_THREADS": "-1"}, "FLSTORE_THREADS: -1 is not usable; use 1 to 1000"),
        ({"FLSTORE_UPLOAD_LIMIT": "2", "FLSTORE_IN_FLIGHT_BYTES": "1"}, "FLSTORE_UPLOAD_LIMIT is 2 B"),
        ({"FLSTORE_POLICY": "tailord"}, "FLSTORE_POLICY: policy 'tailord' does not exist; nearest: tailored"),
        ({"FLSTORE_RUNTIME": "knative"}, "FLSTORE_RUNTIME is 'knative'; `flstore up` runs processes, so unset it"),
        ({"FLSTORE_RESYNC_SECONDS": "0"}, "FLSTORE_RESYNC_SECONDS: '0' is not usable"),
        ({"FLSTORE_COMPUTE_THREADS": "0"}, "FLSTORE_COMPUTE_THREADS: 0 is not usable"),
        ({"FLSTORE_TORCH_THREADS": "-2"}, "FLSTORE_TORCH_THREADS: -2 is not usable; use 0 to 1000"),
        ({"FLSTORE_RUN_SECONDS": "0"}, "FLSTORE_RUN_SECONDS: '0' is not usable"),
        (
            {"FLSTORE_MEMORY_BYTES": "1MiB"},
            "FLSTORE_PREDICTOR_CACHE_BYTES is 512.0 MiB and FLSTORE_MEMORY_BYTES 1.0 MiB",
        ),
        (
            {"FLSTORE_MEMORY_BYTES": "1GiB", "FLSTORE_RUN_BYTES": "2GiB"},
            "FLSTORE_RUN_BYTES is 2.0 GiB and FLSTORE_MEMORY_BYTES 1.0 GiB",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_name(env: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameters, match=re.escape(message)):
        check(KEYS | env)


@pytest.mark.parametrize(
    ("variable", "nbytes"), [("FLSTORE_CACHE_BYTES", "700MiB"), ("FLSTORE_PREDICTOR_CACHE_BYTES", "700MiB")]
)
def test_a_cache_that_its_process_would_refuse_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, nbytes: str
) -> None:
    monkeypatch.setattr(module, "memory_limit", lambda: 2**30)
    with pytest.raises(InvalidParameters, match=f"{variable} is 700.0 MiB, over 60 %"):
        check(KEYS | {variable: nbytes})
    check(KEYS)


def test_a_predictor_that_is_not_to_be_is_not_checked() -> None:
    check(KEYS | {"FLSTORE_PREDICTORS": "0", "FLSTORE_MEMORY_BYTES": "1MiB"})


def test_predictors_need_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "can_predict", lambda: False)
    with pytest.raises(
        InvalidParameters, match="FLSTORE_PREDICTORS is 1, and predictors need packages that are missing"
    ):
        check(KEYS)
    check(KEYS | {"FLSTORE_PREDICTORS": "0"})


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"FLSTORE_POLCY": "lru"}, "FLSTORE_POLCY is no setting of FLStore; nearest: FLSTORE_POLICY"),
        ({"FLSTORE_SHARD_ID": "x"}, "FLSTORE_SHARD_ID is not used here; `flstore up` chooses it"),
        ({"FLSTORE_METRICS_TOKEN": "m"}, "FLSTORE_METRICS_TOKEN has no effect without FLSTORE_TOKENS"),
        ({"FLSTORE_HOST": "0.0.0.0"}, "the gateway listens at 0.0.0.0, and whoever reaches it"),
        (
            {"FLSTORE_S3_ENDPOINT": "http://s3"},
            "FLSTORE_S3_ENDPOINT has no effect, since FLSTORE_STORE is no s3:// URL",
        ),
    ],
)
def test_what_may_not_do_what_was_meant_is_warned_about(env: dict[str, str], message: str) -> None:
    (warning,) = warnings(KEYS | env)
    assert warning.startswith(message)


def test_nothing_is_said_where_settings_have_their_effect() -> None:
    remote = {"FLSTORE_STORE": "s3://b", "FLSTORE_S3_ENDPOINT": "http://s3"}
    tokens = {"FLSTORE_HOST": "0.0.0.0", "FLSTORE_TOKENS": '[{"token": "t"}]', "FLSTORE_METRICS_TOKEN": "m"}
    assert list(warnings(KEYS | remote | tokens)) == []
