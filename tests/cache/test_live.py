"""What a running FLStore tells of its caches: what rivals would have hit, and why a key is cached or is not."""

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from flstore_core.client import FLStore
from loadgen.replay.player import is_quiet
from services.local.running import running
from tests.waiting import eventually

PARAMETERS = 150_000
BYTES = 4 * PARAMETERS
BUDGET = 8 * BYTES
CLIENTS = ("a", "b", "c")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An FLStore of one shard with room for eight models, after six rounds of three updates each."""
    folder = tmp_path_factory.mktemp("live")
    with (
        running(f"{folder}/store", shards=1, cache_size=str(BUDGET), idle_seconds=0, log=folder / "log") as (url, _),
        FLStore(url) as client,
    ):
        model = {"weight": np.ones(PARAMETERS, np.float32)}
        client.create_job("job", like=model, statistics="off", clients_per_round=3, slices=1)
        for number in range(6):
            for name in CLIENTS:
                client.put_update("job", number, name, model, metrics={"num_examples": 1})
            client.put_aggregate("job", number, model)
            client.commit("job", number)
            eventually(lambda: is_quiet(client.cache()))  # Shadows are asked for what has arrived.
            read(client, number)
            # So that the newest model is worth its place by far, whatever the time between two rounds.
            client.run_anew("job", "norms", models=[{"round": number, "client": "aggregate"}], pattern="P1")
        yield url


def read(client: FLStore, number: int) -> None:
    """Ask for all updates of a round."""
    models = [{"round": number, "client": name} for name in CLIENTS]
    client.run_anew("job", "norms", models=models, pattern="P2")


def inventory(url: str) -> dict[str, Any]:
    (shard,) = [each for each in httpx.get(f"{url}/v1/cache").json()["shards"] if each["shard"] == "shard-0"]
    shown: dict[str, Any] = shard["inventory"]
    return shown


def explained(url: str, key: str) -> dict[str, Any]:
    (answer,) = httpx.get(f"{url}/v1/cache/explain", params={"key": key}).json()["shards"]
    return dict(answer)


def test_shadows_say_what_rivals_would_have_hit(url: str) -> None:
    shadows = inventory(url)["shadows"]
    assert {"lru+arrival", "s3-fifo+arrival", "gdsf+arrival"} <= shadows.keys()
    # Each round is requested right after it was stored: a policy that caches what arrives and evicts the oldest has it.
    assert shadows["lru+arrival"]["P2"]["requests"] == inventory(url)["P2"]["requests"]
    assert shadows["lru+arrival"]["P2"]["hit_rate"] == 1.0


def test_a_shadow_misses_what_its_policy_would_have_dropped(url: str) -> None:
    before = inventory(url)["shadows"]["lru+arrival"]["P2"]
    with FLStore(url) as client:
        read(client, 0)
    after = inventory(url)["shadows"]["lru+arrival"]["P2"]
    assert (after["requests"], after["hits"]) == (before["requests"] + 1, before["hits"])


def test_a_cached_key_is_explained(url: str) -> None:
    eventually(lambda: inventory(url)["prefetches_due"] == 0)
    explanation = explained(url, "job/5/aggregate")
    assert explanation["cached"]
    assert explanation["since"] > 0
    assert explanation["why"].endswith("newest model (P1)")


def test_an_evicted_key_is_explained(url: str) -> None:
    explanations = [explained(url, f"job/1/{name}") for name in CLIENTS]
    gone = [one for one in explanations if not one["cached"]]
    assert gone
    assert all(one["why"].startswith("evicted: ") and one["since"] > 0 for one in gone)


def test_a_key_that_never_was_is_said_to_be_unknown(url: str) -> None:
    explanation = explained(url, "job/77/a")
    assert (explanation["cached"], explanation["since"]) == (False, None)


def test_occupancy_stays_within_the_budget_and_evictions_have_reasons(url: str) -> None:
    shard = inventory(url)
    assert shard["budget_bytes"] == BUDGET
    assert shard["used_bytes"] == shard["objects"] * BYTES <= BUDGET
    assert sum(shard["eviction_reasons"].values()) == shard["overall"]["evictions"] > 0
