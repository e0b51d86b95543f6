"""What a shard is seen to do, and what people are told when it cannot."""

import pytest

from services.placement.kube.resources import FLJOBS, PODS
from tests.kubernetes.world import Running, World, fljob

SHARD = "shard-0"
SERVICE = "flstore-shard-0"


@pytest.fixture
async def controller(world: World) -> Running:
    """A controller with one shard, at zero, that holds the job of an FLJob."""
    running = await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("job"))
    await world.shows("job", "Ready")
    await world.knative.accepts(SERVICE)
    return running


async def reaches(world: World, controller: Running, phase: str) -> None:
    async def there() -> bool:
        return await controller.phase(SHARD) == phase

    await world.clock.until(there)


async def test_a_shard_starts_serves_leaves_and_is_at_zero_again(world: World, controller: Running) -> None:
    await reaches(world, controller, "zero")
    await world.knative.makes_pod(SERVICE, "pod-1")
    await reaches(world, controller, "starting")
    await world.clock.pass_(3.0)
    await world.knative.readies("pod-1", "10.0.0.7")
    await reaches(world, controller, "awake")
    await world.clock.pass_(100.0)
    await world.knative.drains("pod-1")
    await reaches(world, controller, "leaving")
    await world.knative.ends("pod-1")
    await reaches(world, controller, "zero")
    (state,) = (await controller.client.get("/v1/shards")).json()
    assert (state["starts"], state["failures"]) == (1, 0)
    assert 3.0 <= state["last_start_s"] <= 6.0
    assert 103.0 <= state["awake_s"] <= 112.0
    assert 'starts_total{cause="request"} 1.0' in (await controller.client.get("/metrics")).text


async def test_the_address_past_queue_proxy_is_the_serving_pods(world: World, controller: Running) -> None:
    await world.knative.makes_pod(SERVICE, "pod-1")
    await world.knative.readies("pod-1", "10.0.0.7")
    await reaches(world, controller, "awake")
    (state,) = (await controller.client.get("/v1/shards")).json()
    assert state["direct_url"] == "http://10.0.0.7:8080"
    assert state["url"].startswith(f"http://{SERVICE}.")


async def test_while_old_and_new_pod_overlap_the_new_one_counts(world: World, controller: Running) -> None:
    await world.knative.wakes(SERVICE, "old")
    await reaches(world, controller, "awake")
    await world.knative.makes_pod(SERVICE, "new")
    await world.clock.pass_(2.0)
    assert await controller.phase(SHARD) == "awake"
    await world.knative.drains("old")
    await reaches(world, controller, "starting")
    await world.knative.readies("new", "10.0.0.8")
    await reaches(world, controller, "awake")
    (state,) = (await controller.client.get("/v1/shards")).json()
    assert state["direct_url"] == "http://10.0.0.8:8080"
    await world.knative.ends("old")
    await world.clock.pass_(2.0)
    assert await controller.phase(SHARD) == "awake"


async def test_a_pod_lost_with_its_node_is_replaced_and_the_table_stays(world: World, controller: Running) -> None:
    await world.knative.wakes(SERVICE, "pod-1")
    await reaches(world, controller, "awake")
    table = controller.state.board.table
    await world.knative.ends("pod-1")
    await reaches(world, controller, "zero")
    await world.knative.wakes(SERVICE, "pod-2")
    await reaches(world, controller, "awake")
    assert controller.state.board.table == table
    (state,) = (await controller.client.get("/v1/shards")).json()
    assert state["starts"] == 2


async def test_a_pod_on_a_node_that_does_not_answer_leaves_the_shard_to_the_next(
    world: World, controller: Running
) -> None:
    await world.knative.wakes(SERVICE, "pod-1")
    await reaches(world, controller, "awake")
    await world.knative.drains("pod-1")
    await world.knative.wakes(SERVICE, "pod-2")
    await reaches(world, controller, "awake")
    assert (await controller.client.get("/v1/shards")).json()[0]["starts"] == 2


@pytest.mark.parametrize(
    ("reason", "message", "event", "advice"),
    [
        ("ImagePullBackOff", "Back-off pulling image", "ImageMissing", "kind load docker-image flstore:test"),
        ("ErrImagePull", "not found", "ImageMissing", "name an image that the nodes can reach"),
        ("CrashLoopBackOff", "back-off 5m0s", "CrashLoop", "kubectl logs --previous -c shard pod-1"),
        ("CreateContainerConfigError", 'secret "store" not found', "Misconfigured", 'secret "store" not found'),
    ],
)
async def test_a_shard_that_cannot_start_says_why_and_what_helps(
    world: World, controller: Running, reason: str, message: str, event: str, advice: str
) -> None:
    await world.knative.makes_pod(SERVICE, "pod-1")
    await world.knative.waits("pod-1", reason, message)
    assert advice in await world.tells(event)
    degraded = await world.shows("job", "Degraded")
    assert degraded["reason"] == "ShardFailed"
    assert advice in degraded["message"]
    assert await controller.phase(SHARD) == "failed"


async def test_a_shard_that_needs_too_much_memory_says_so(world: World, controller: Running) -> None:
    await world.knative.makes_pod(SERVICE, "pod-1")
    last = {"reason": "OOMKilled", "exitCode": 137}
    await world.knative.waits("pod-1", "CrashLoopBackOff", "back-off", last)
    assert "raise the shards' memory" in await world.tells("OutOfMemory")


async def test_a_cluster_without_room_is_told_of_and_forgotten_when_there_is(world: World, controller: Running) -> None:
    await world.knative.makes_pod(SERVICE, "pod-1")
    await world.knative.cannot_schedule("pod-1", "0/1 nodes are available: 1 Insufficient memory.")
    assert "1 Insufficient memory" in await world.tells("NoCapacity")
    await world.shows("job", "Degraded")
    await world.knative.readies("pod-1")
    assert SHARD in await world.tells("ShardRecovered")
    await world.shows("job", "Degraded", "False")


async def test_what_knative_rejects_is_passed_on(world: World, controller: Running) -> None:
    message = 'Revision "x" failed with message: Unable to fetch image "flstore:test": 401 Unauthorized.'
    await world.knative.rejects(SERVICE, "RevisionFailed", message)
    assert "401 Unauthorized" in await world.tells("ImageMissing")
    assert await controller.phase(SHARD) == "failed"
    await world.knative.rejects(SERVICE, "RevisionFailed", "Initial scale was never achieved")
    assert "Initial scale was never achieved" in await world.tells("RevisionFailed")


async def test_a_pod_that_is_gone_with_its_shard_is_told_to_nobody(world: World, controller: Running) -> None:
    await world.knative.wakes(SERVICE, "pod-1")
    await reaches(world, controller, "awake")
    await world.cluster.hand.delete(PODS, "pod-1")
    await world.knative.ends("pod-1")
    await reaches(world, controller, "zero")
    (state,) = (await controller.client.get("/v1/shards")).json()
    assert state["direct_url"] is None
