"""A cache's metrics are its counters under stable names."""

import random
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from flstore_core.cache import Cache, Ledger
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Cause, Key, Request
from flstore_core.policies.registry import make_policy
from services.common.cache_metrics import BY_PATTERN, registry_of

Value = NDArray[np.uint8]
Samples = dict[tuple[str, ...], float]


def cache_of(budget: int) -> Cache[Value]:
    clock = iter(range(10**9)).__next__
    return Cache(Ledger(make_policy("lru+arrival", budget, clock, random.Random(0)), budget, clock))


def scraped(cache: Cache[Value]) -> dict[str, Samples]:
    """Return every sample as Prometheus reads it: by name, then by label values in the labels' alphabetical order."""
    text = generate_latest(registry_of(cache.snapshot, "s")).decode()
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def keys(names: Iterable[str]) -> tuple[Key, ...]:
    return tuple(Key("j", 1, name) for name in names)


@pytest.fixture
def used() -> Cache[Value]:
    """A cache of 30 bytes with objects of 10: a, b, c ingested, a and d requested, d fetched."""
    cache = cache_of(30)
    for key in keys("abc"):
        cache.ingest(key, np.zeros(10, np.uint8))
    cache.request(Request("j", "w", Pattern.P2, keys("ad")))
    cache.fill(dict.fromkeys(keys("d"), np.zeros(10, np.uint8)), Cause.DEMAND, Pattern.P2)
    cache.request(Request("j", "w", Pattern.P2, keys("ad")))
    return cache


def test_gauges_show_what_is_held(used: Cache[Value]) -> None:
    samples = scraped(used)
    assert samples["flstore_cache_budget_bytes"] == {("s",): 30}
    assert samples["flstore_cache_used_bytes"] == {("s",): 30}
    assert samples["flstore_cache_objects"] == {("s",): 3}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("requests", 2),
        ("hits", 1),
        ("keys", 4),
        ("key_hits", 3),
        ("hit_bytes", 30),
        ("miss_bytes", 10),
        ("prefetches", 0),
    ],
)
def test_counters_show_what_happened_by_pattern(used: Cache[Value], name: str, value: int) -> None:
    samples = scraped(used)[f"flstore_cache_{name}_total"]
    assert {labels[0] for labels in samples} == {pattern.value for pattern in Pattern}
    assert {labels: count for labels, count in samples.items() if count} == (
        {("P2", "lru+arrival", "s"): value} if value else {}
    )


def test_evictions_are_counted_by_reason(used: Cache[Value]) -> None:
    samples = scraped(used)["flstore_cache_evictions_total"]
    assert sum(samples.values()) == 1
    assert all((labels[0], labels[2]) == ("lru+arrival", "s") for labels in samples)


def test_every_counter_is_there_before_anything_happened() -> None:
    samples = scraped(cache_of(10))
    for name in BY_PATTERN:
        assert set(samples[f"{name}_total"].values()) == {0.0}


def test_two_scrapes_without_an_event_between_are_alike(used: Cache[Value]) -> None:
    assert scraped(used) == scraped(used)
