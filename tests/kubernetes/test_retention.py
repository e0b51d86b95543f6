"""Jobs come and go with round intervals of their own: shards take a new retention at zero, and none is ended for it."""

import pytest

from services.placement.kube.resources import FLJOBS, KNATIVE_SERVICES
from tests.kubernetes.world import Running, World, fljob

SHARD, SERVICE = "shard-0", "flstore-shard-0"
RETENTION = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"


async def shown(world: World) -> tuple[str, int]:
    """Return the shard's retention and the generation of its service, which each change raises."""
    service = await world.cluster.hand.get(KNATIVE_SERVICES, SERVICE)
    assert service is not None
    annotations = service["spec"]["template"]["metadata"]["annotations"]
    return str(annotations[RETENTION]), int(service["metadata"]["generation"])


async def reaches(world: World, controller: Running, phase: str) -> None:
    async def there() -> bool:
        return await controller.phase(SHARD) == phase

    await world.clock.until(there)


async def retains(world: World, retention: str) -> None:
    async def does() -> bool:
        return (await shown(world))[0] == retention

    await world.clock.until(does)


async def wakes(world: World, controller: Running, pod: str) -> int:
    """Have the shard wake, and return its service's generation."""
    await world.knative.wakes(SERVICE, pod)
    await reaches(world, controller, "awake")
    return (await shown(world))[1]


async def sleeps(world: World, controller: Running, pod: str) -> None:
    await world.knative.drains(pod)
    await world.knative.ends(pod)
    await reaches(world, controller, "zero")


@pytest.fixture
async def controller(world: World) -> Running:
    """A controller with one shard, whose job says nothing about its rounds."""
    running = await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("plain"))
    await world.shows("plain", "Ready")
    await world.knative.accepts(SERVICE)
    return running


async def test_an_awake_shard_outlives_the_coming_and_going_of_a_paced_job(world: World, controller: Running) -> None:
    generation = await wakes(world, controller, "first")
    await world.cluster.hand.create(FLJOBS, fljob("paced", roundInterval="5m"))
    await world.shows("paced", "Ready")
    await world.clock.pass_(120.0)
    assert await shown(world) == ("60s", generation), "a pod with a warm cache was replaced"
    await sleeps(world, controller, "first")
    await retains(world, "600s")
    await world.knative.accepts(SERVICE)
    generation = await wakes(world, controller, "second")
    await world.cluster.hand.delete(FLJOBS, "paced")
    await world.clock.pass_(120.0)
    assert await shown(world) == ("600s", generation), "a pod with a warm cache was replaced"
    await sleeps(world, controller, "second")
    await retains(world, "60s")


async def test_other_changes_of_an_awake_shard_do_not_wait(world: World, controller: Running) -> None:
    generation = await wakes(world, controller, "first")
    await world.cluster.hand.create(FLJOBS, fljob("paced", roundInterval="5m"))
    await world.shows("paced", "Ready")
    change = {"spec": {"template": {"spec": {"containerConcurrency": 3}}}}
    await world.cluster.hand.merge(KNATIVE_SERVICES, SERVICE, change)

    async def mended() -> bool:
        return (await shown(world))[1] == generation + 2

    await world.clock.until(mended)
    assert (await shown(world))[0] == "60s"


async def test_a_controller_that_takes_over_asks_for_no_retention_before_it_knows_the_jobs(
    world: World, controller: Running
) -> None:
    await world.cluster.hand.create(FLJOBS, fljob("paced", roundInterval="5m"))
    await retains(world, "600s")
    await world.knative.accepts(SERVICE)
    before = await shown(world)
    await controller.stop()
    await world.lead(identity="two")
    await world.clock.pass_(60.0)
    assert await shown(world) == before
