"""What is made belongs to the release and goes with it; what people made and what they stored stays."""

from flstore_core import layout
from flstore_core.ids import JobId
from services.placement.kube.resources import (
    CONFIG_MAPS,
    EVENTS,
    FLJOBS,
    KNATIVE_SERVICES,
    LEASES,
)
from tests.kubernetes.cluster import OWNER
from tests.kubernetes.world import World, fljob, job

MADE = (KNATIVE_SERVICES, LEASES, FLJOBS)


async def inhabited(world: World) -> None:
    controller = await world.lead(predictors=1)
    world.stored(job("over-http", replicas=2))
    world.store.put(layout.program_record(layout.home(JobId("over-http"), "")), b"{}")
    await controller.place("over-http")
    await world.cluster.hand.create(FLJOBS, fljob("by-hand"))
    await world.shows("by-hand", "Ready")
    await world.shows("over-http", "Ready")
    await controller.stop()


async def test_everything_made_has_the_release_for_an_owner(world: World) -> None:
    await inhabited(world)
    owner = await world.cluster.hand.get(CONFIG_MAPS, OWNER)
    assert owner is not None
    made = [item for resource in MADE for item in await world.cluster.hand.items(resource)]
    owned = {item["metadata"]["name"]: item["metadata"].get("ownerReferences", []) for item in made}
    assert owned.pop("by-hand") == []
    assert len(owned) == 6, "three shards, a predictor, the lease, the mirror"
    for name, references in owned.items():
        assert [reference["uid"] for reference in references] == [owner["metadata"]["uid"]], name


async def test_without_the_owner_nothing_is_left_but_what_people_made(world: World) -> None:
    await inhabited(world)
    await world.cluster.hand.delete(CONFIG_MAPS, OWNER)

    async def left() -> list[str]:
        return [name for resource in MADE for name in await world.cluster.hand.names(resource)]

    async def only_ours() -> bool:
        return await left() == ["by-hand"]

    await world.clock.until(only_ours)
    assert {path.key for path in world.store.list("jobs")} >= {"jobs/over-http/job.json", "jobs/by-hand/job.json"}
    assert await world.cluster.hand.names(EVENTS), "events end by themselves"


async def test_a_new_release_finds_the_jobs_of_the_old_one(world: World) -> None:
    await inhabited(world)
    await world.cluster.hand.delete(CONFIG_MAPS, OWNER)
    await world.cluster.hand.create(CONFIG_MAPS, {**CONFIG_MAPS.head(OWNER), "data": {}})
    controller = await world.lead(identity="next")
    assert controller.state.board.table.jobs.keys() == {"over-http", "by-hand"}
    await world.shows("over-http", "Ready")
