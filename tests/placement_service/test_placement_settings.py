"""The controller's settings, from an environment."""

import pytest

from flstore_core.errors import InvalidParameters
from services.placement import settings as module
from services.placement.runtime import Kind
from services.placement.settings import Settings


def test_an_empty_environment_gives_a_laptop_s_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert Settings.from_env({}) == Settings()
    assert [spec.id for spec in Settings().specs()] == ["shard-0", "shard-1"]


@pytest.mark.parametrize(
    ("installed", "predictors"), [(set(), 0), ({"torch"}, 0), ({"kserve"}, 0), ({"torch", "kserve"}, 1)]
)
def test_there_is_a_predictor_where_its_packages_are_installed(
    monkeypatch: pytest.MonkeyPatch, installed: set[str], predictors: int
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: object() if name in installed else None)
    assert Settings.from_env({}).predictors == predictors


def test_every_variable_is_read() -> None:
    env = {
        "FLSTORE_STORE": "s3://bucket",
        "FLSTORE_RUNTIME": "knative",
        "FLSTORE_SHARDS": "3",
        "FLSTORE_CACHE_BYTES": "1GiB",
        "FLSTORE_POLICY": "lru",
        "FLSTORE_IDLE_SECONDS": "0",
        "FLSTORE_PREDICTORS": "2",
        "FLSTORE_PREDICTOR_CACHE_BYTES": "1000",
        "FLSTORE_RESYNC_SECONDS": "1.5",
    }
    assert Settings.from_env(env) == Settings("s3://bucket", "knative", 3, 1 << 30, "lru", 0.0, 2, 1000, 1.5)


def test_each_backend_gets_its_pool_s_budget() -> None:
    specs = Settings(shards=1, cache_bytes=7, policy="lru", idle_s=5.0, predictors=2, predictor_cache_bytes=9).specs()
    assert [(spec.id, spec.kind, spec.cache_bytes, spec.policy, spec.idle_s) for spec in specs] == [
        ("shard-0", Kind.SHARD, 7, "lru", 5.0),
        ("predictor-0", Kind.PREDICTOR, 9, "lru", 5.0),
        ("predictor-1", Kind.PREDICTOR, 9, "lru", 5.0),
    ]


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("FLSTORE_RUNTIME", "docker", "use one of local, knative"),
        ("FLSTORE_SHARDS", "0", "use 1 to 1000"),
        ("FLSTORE_SHARDS", "1001", "use 1 to 1000"),
        ("FLSTORE_SHARDS", "many", "use a whole number"),
        ("FLSTORE_PREDICTORS", "1001", "use 0 to 1000"),
        ("FLSTORE_PREDICTORS", "-1", "use 0 to 1000"),
        ("FLSTORE_IDLE_SECONDS", "long", "use a number"),
        ("FLSTORE_CACHE_BYTES", "0", "use 1 or more bytes"),
        ("FLSTORE_IDLE_SECONDS", "nan", "use a number that is not negative"),
        ("FLSTORE_RESYNC_SECONDS", "inf", "use a number above 0"),
        ("FLSTORE_POLICY", "LRU", "policy 'LRU' does not exist; nearest: lru"),
    ],
)
def test_what_cannot_work_is_refused_by_name_with_advice(name: str, value: str, advice: str) -> None:
    with pytest.raises(InvalidParameters, match=name) as refused:
        Settings.from_env({"FLSTORE_PREDICTORS": "0", name: value})
    assert advice in refused.value.detail
