"""Why a shard was replaced: one answer, on `/v1/shards`, in the metrics and in an Event."""

from typing import Any

import pytest

from services.placement.kube.resources import FLJOBS
from tests.kubernetes.world import Running, World, fljob

SHARD = "shard-0"
SERVICE = "flstore-shard-0"
OUT_OF_MEMORY = {"reason": "OOMKilled", "exitCode": 137}

Json = dict[str, Any]


@pytest.fixture
async def controller(world: World) -> Running:
    """A controller with one shard that has been awake for a minute, in pod-1 of revision v1, after a start of 3 s."""
    running = await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("job"))
    await world.shows("job", "Ready")
    await world.knative.accepts(SERVICE)
    await world.knative.makes_pod(SERVICE, "pod-1", "v1")
    await reaches(world, running, "starting")
    await world.clock.pass_(3.0)
    await world.knative.readies("pod-1")
    await reaches(world, running, "awake")
    await world.clock.pass_(60.0)
    return running


async def reaches(world: World, controller: Running, phase: str) -> None:
    async def there() -> bool:
        return await controller.phase(SHARD) == phase

    await world.clock.until(there)


async def starts(world: World, controller: Running, count: int) -> Json:
    """Let time pass until the shard is awake after `count` starts, and return its state."""
    state: Json = {}

    async def has() -> bool:
        nonlocal state
        (state,) = (await controller.client.get("/v1/shards")).json()
        return bool(state["starts"] == count and state["state"] == "awake")

    await world.clock.until(has)
    return state


async def test_a_first_start_has_no_reason_and_is_no_event(world: World, controller: Running) -> None:
    state = await starts(world, controller, 1)
    assert (state["last_start"]["cause"], state["last_start"]["reason"]) == ("request", "")
    assert 3.0 <= state["last_start"]["seconds"] == state["last_start_s"] <= 6.0
    assert await world.cluster.hand.events("ShardReplaced") == []


async def test_a_container_killed_for_its_memory_is_a_start_of_its_own(world: World, controller: Running) -> None:
    await world.knative.restarts("pod-1", 1, OUT_OF_MEMORY)
    await reaches(world, controller, "failed")
    await world.clock.pass_(2.0)
    await world.knative.restarts("pod-1", 1, OUT_OF_MEMORY, ready=True)
    state = await starts(world, controller, 2)
    assert (state["last_start"]["cause"], state["last_start"]["reason"]) == ("restart", "OOMKilled")
    assert 2.0 <= state["last_start"]["seconds"] <= 6.0, "not the minute since the pod's first start"
    assert "restart (OOMKilled)" in await world.tells("ShardReplaced")
    metrics = (await controller.client.get("/metrics")).text
    assert 'starts_total{cause="restart"} 1.0' in metrics
    labels = 'cause="restart",reason="OOMKilled",shard="shard-0"'
    assert f"flstore_placement_shard_last_start_seconds{{{labels}}} {state['last_start_s']}" in metrics


async def test_a_second_start_for_the_same_reason_has_an_event_of_its_own(world: World, controller: Running) -> None:
    for count in (1, 2):
        await world.knative.restarts("pod-1", count, OUT_OF_MEMORY, ready=True)
        await starts(world, controller, 1 + count)

    async def are_there() -> bool:
        return len(await world.cluster.hand.events("ShardReplaced")) == 2

    await world.clock.until(are_there)
    messages = await world.cluster.hand.events("ShardReplaced")
    assert all("was started anew in pod-1 and was ready after" in message for message in messages)
    assert {message[message.index("(start") :] for message in messages} == {
        "(start 2 that this controller saw)",
        "(start 3 that this controller saw)",
    }


async def test_a_shard_at_zero_whose_pod_vanished_says_so_before_the_next_start(
    world: World, controller: Running
) -> None:
    await world.knative.ends("pod-1")
    await reaches(world, controller, "zero")
    (state,) = (await controller.client.get("/v1/shards")).json()
    assert state["last_end"] == {"reason": "pod gone", "expected": False}


async def test_a_restart_too_fast_for_its_probe_is_noticed_by_the_count(world: World, controller: Running) -> None:
    await world.knative.restarts("pod-1", 1, {"reason": "Error", "exitCode": 3}, ready=True)
    state = await starts(world, controller, 2)
    assert (state["last_start"]["cause"], state["last_start"]["reason"]) == ("restart", "exit code 3")
    assert state["last_start"]["seconds"] < 6.0


async def test_a_pod_that_is_unready_for_a_moment_was_not_started(world: World, controller: Running) -> None:
    before = await starts(world, controller, 1)
    await world.knative.unreadies("pod-1")
    await reaches(world, controller, "starting")
    await world.knative.readies("pod-1")
    after = await starts(world, controller, 1)
    assert after["last_start"] == before["last_start"]


async def test_a_pod_evicted_by_its_node_says_so_in_the_next_start(world: World, controller: Running) -> None:
    await world.knative.evicts("pod-1", "The node was low on resource: memory.")
    await reaches(world, controller, "zero")
    await world.knative.wakes(SERVICE, "pod-2", "v1")
    state = await starts(world, controller, 2)
    assert (state["last_start"]["cause"], state["last_start"]["reason"]) == ("eviction", "Evicted")
    assert "eviction (Evicted)" in await world.tells("ShardReplaced")


async def test_a_pod_drained_from_its_node_says_so_in_the_next_start(world: World, controller: Running) -> None:
    await world.knative.preempts("pod-1", "EvictionByEvictionAPI")
    await reaches(world, controller, "leaving")
    await world.knative.ends("pod-1")
    await world.knative.wakes(SERVICE, "pod-2", "v1")
    state = await starts(world, controller, 2)
    assert (state["last_start"]["cause"], state["last_start"]["reason"]) == ("eviction", "EvictionByEvictionAPI")


async def test_a_new_revision_is_a_rollout(world: World, controller: Running) -> None:
    await world.knative.makes_pod(SERVICE, "pod-2", "v2")
    await world.clock.pass_(2.0)
    await world.knative.readies("pod-2")
    await world.knative.drains("pod-1")
    state = await starts(world, controller, 2)
    assert (state["last_start"]["cause"], state["last_start"]["reason"]) == ("rollout", "revision v2")
    assert "rollout (revision v2)" in await world.tells("ShardReplaced")


async def test_a_pod_that_vanishes_is_replaced(world: World, controller: Running) -> None:
    await world.knative.ends("pod-1")
    await reaches(world, controller, "zero")
    await world.knative.wakes(SERVICE, "pod-2", "v1")
    state = await starts(world, controller, 2)
    assert (state["last_start"]["cause"], state["last_start"]["reason"]) == ("replacement", "pod gone")


async def test_a_shard_woken_from_zero_is_no_replacement(world: World, controller: Running) -> None:
    await world.knative.drains("pod-1")
    await reaches(world, controller, "leaving")
    await world.knative.ends("pod-1")
    await reaches(world, controller, "zero")
    await world.knative.wakes(SERVICE, "pod-2", "v1")
    state = await starts(world, controller, 2)
    assert (state["last_start"]["cause"], state["last_start"]["reason"]) == ("request", "scaled to zero")
    assert await world.cluster.hand.events("ShardReplaced") == []


async def test_a_controller_that_starts_later_knows_a_restart_by_the_pod_s_own_times(world: World) -> None:
    first = await world.lead(identity="one")
    await world.cluster.hand.create(FLJOBS, fljob("job"))
    await world.shows("job", "Ready")
    await world.knative.accepts(SERVICE)
    await world.knative.wakes(SERVICE, "pod-1")
    await first.stop()
    await world.knative.restarts("pod-1", 2, OUT_OF_MEMORY, ready=True)
    second = await world.lead(identity="two")
    state = await starts(world, second, 1)
    assert (state["last_start"]["cause"], state["last_start"]["reason"]) == ("restart", "OOMKilled")
    assert state["last_start"]["seconds"] <= 1.0, "ready in the second in which it was started, or the next"
