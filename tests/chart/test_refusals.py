"""Nonsense is refused before anything is installed, with words that say what to change."""

from typing import Any

import pytest

from manifests import chart

Json = dict[str, Any]

REFUSED: list[tuple[Json, str]] = [
    ({"shards": {"cacheBytes": "-512MiB"}}, "/shards/cacheBytes"),
    ({"shards": {"cacheBytes": 0}}, "/shards/cacheBytes"),
    ({"shards": {"memory": "-1Gi"}}, "/shards/memory"),
    ({"objectStore": {"storage": {"size": "-10Gi"}}}, "/objectStore/storage/size"),
    ({"shards": {"count": 0}}, "minimum: got 0, want 1"),
    ({"shards": {"policy": "clairvoyant"}}, "/shards/policy"),
    ({"shards": {"timeoutSeconds": 60}}, "minimum: got 60, want 120"),
    ({"shards": {"stableWindow": "one minute"}}, "/shards/stableWindow"),
    ({"objectStore": {"kind": "redis"}}, "must be one of 'minio', 'seaweedfs', 'external'"),
    ({"objectStore": {"endpoint": "not a url"}}, "/objectStore/endpoint"),
    ({"shards": {"cout": 3}}, "additional properties 'cout' not allowed"),
    ({"jobs": {"digits": {"replicas": 3}}}, "jobs.digits.replicas is 3 and shards.count is 2"),
    ({"shards": {"cacheBytes": "700MiB"}}, "more than 60 % of shards.memory 1Gi"),
    ({"shards": {"cacheBytes": "0.6GiB", "memory": "1G"}}, "more than 60 % of shards.memory 1G"),
    ({"predictors": {"cacheBytes": "2GiB"}}, "more than 60 % of predictors.memory 2Gi"),
    ({"predictors": {"resources": {"memory": "4Gi"}}}, "invalid propertyName 'memory'"),
    ({"predictors": {"resources": {"kubernetes.io/gpu": 1}}}, "invalid propertyName 'kubernetes.io/gpu'"),
    ({"predictors": {"resources": {"nvidia.com/gpu": 0}}}, "minimum: got 0, want 1"),
    ({"gateway": {"inFlightBytes": "1GiB"}}, "more than 80 % of gateway.resources.limits.memory"),
    (
        {"objectStore": {"kind": "seaweedfs", "resources": {"limits": {"memory": "1G"}}}},
        "gateway.inFlightBytes 512MiB is more than half of objectStore.resources.limits.memory 1G",
    ),
    ({"gateway": {"uploadLimit": "1GiB"}}, "gateway.uploadLimit 1GiB is more than gateway.inFlightBytes 512MiB"),
    ({"gateway": {"autoscaling": {"minReplicas": 9}}}, "minReplicas 9 is more than maxReplicas 4"),
    ({"objectStore": {"kind": "external"}}, "has no credentials"),
    ({"objectStore": {"credentials": "ambient"}}, "goes with kind external"),
    (
        {"objectStore": {"kind": "external", "credentials": "ambient", "existingSecret": "keys"}},
        "without existingSecret, readerSecret and keys",
    ),
    ({"objectStore": {"kind": "external", "endpoint": "https://s3.example.org"}}, "has no credentials"),
    ({"objectStore": {"endpoint": "https://s3.example.org"}}, "set kind to external"),
    ({"objectStore": {"accessKey": "someone"}}, "come together"),
    ({"auth": {"serviceKeys": "guessable"}}, "/auth/serviceKeys"),
    ({"auth": {"serviceKeys": 32 * "k" + ",short"}}, "/auth/serviceKeys"),
    ({"auth": {"tokens": "[]"}}, "auth.tokens has no token; leave it empty to let everybody in"),
]


@pytest.mark.parametrize(("values", "told"), REFUSED, ids=[told[:40] for _, told in REFUSED])
def test_nonsense_is_refused_with_words_that_help(values: Json, told: str) -> None:
    with pytest.raises(chart.ChartError) as refusal:
        chart.render(values)
    assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("cache", "memory"),
    [("600MiB", "1Gi"), ("0.6GiB", "1Gi"), (600 << 20, "1Gi"), ("600MB", "1G"), ("6GiB", "10240Mi")],
)
def test_sizes_are_compared_whatever_their_units(cache: str | int, memory: str) -> None:
    assert chart.render({"shards": {"cacheBytes": cache, "memory": memory}})
