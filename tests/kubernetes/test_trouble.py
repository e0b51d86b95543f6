"""A cluster that refuses, forgets, contradicts, or is away."""

from services.placement.kube.resources import FLJOBS, KNATIVE_SERVICES
from tests.kubernetes.world import World, fljob, job

SERVICE = "flstore-shard-0"


def count(world: World, verb: str, resource: str) -> int:
    return sum(call[0] == verb and call[2] == resource for call in world.cluster.wire.calls)


async def test_a_watch_that_breaks_off_goes_on_where_it_was(world: World) -> None:
    controller = await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("before"))
    await world.shows("before", "Ready")
    lists = count(world, "list", "fljobs")
    world.cluster.wire.cut()
    await world.cluster.hand.create(FLJOBS, fljob("meanwhile"))
    await world.shows("meanwhile", "Ready")
    assert controller.leading
    assert count(world, "list", "fljobs") == lists
    assert count(world, "watch", "fljobs") >= 2


async def test_an_object_as_large_as_a_schema_of_thousands_of_tensors_comes_by_the_watch(world: World) -> None:
    """A megabyte in one line: more than an HTTP client takes for a line by itself."""
    await world.lead()
    rows = [{"name": f"layers.{number}.{'x' * 240}", "dtype": "F32", "shape": [2, 8]} for number in range(3500)]
    await world.cluster.hand.create(FLJOBS, fljob("large", schema=rows))
    await world.shows("large", "Ready")
    assert (await world.status("large"))["parameters"] == 3500 * 16


async def test_a_watch_whose_version_is_gone_lists_again_and_misses_nothing(world: World) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("before"))
    await world.shows("before", "Ready")
    lists = count(world, "list", "fljobs")
    world.cluster.wire.expired.add("fljobs")
    world.cluster.wire.cut()
    await world.cluster.hand.create(FLJOBS, fljob("meanwhile"))
    await world.shows("meanwhile", "Ready")
    assert count(world, "list", "fljobs") == lists + 1


async def test_what_went_while_nobody_watched_is_noticed_by_the_list(world: World) -> None:
    controller = await world.lead()
    world.stored(job("one"))
    await controller.place("one")
    world.cluster.wire.down = True
    world.cluster.wire.cut()
    await world.cluster.hand.delete(KNATIVE_SERVICES, SERVICE)
    world.cluster.wire.expired.add("services")
    world.cluster.wire.down = False

    async def back() -> bool:
        return await world.services() == [SERVICE]

    await world.clock.until(back)


async def test_a_missing_permission_is_named_with_verb_and_resource(world: World) -> None:
    world.cluster.wire.denied.add(("patch", "services"))
    controller = await world.lead()
    world.stored(job("one"))
    answer = await controller.place("one")
    assert answer.status_code == 503
    advice = "the controller's Role must allow patch on services of API group 'serving.knative.dev'"
    assert advice in answer.json()["detail"]
    assert advice in await world.tells("Forbidden")
    world.cluster.wire.denied.clear()
    await world.clock.until(lambda: "one" in controller.state.board.table.jobs)


async def test_an_object_whose_shards_may_not_be_made_shows_the_missing_permission(world: World) -> None:
    world.cluster.wire.denied.add(("patch", "services"))
    await world.start()
    await world.cluster.hand.create(FLJOBS, fljob("job"))
    refused = await world.shows("job", "Ready", "False", "Forbidden")
    assert "must allow patch on services" in refused["message"]
    world.cluster.wire.denied.clear()
    await world.shows("job", "Ready")


async def test_a_job_that_runs_shows_that_a_permission_is_missing(world: World) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("runs"))
    await world.shows("runs", "Ready")
    world.cluster.wire.denied |= {("watch", "pods"), ("list", "pods")}
    world.cluster.wire.cut()
    degraded = await world.shows("runs", "Degraded", reason="Forbidden")
    assert "watch pods" in degraded["message"]
    world.cluster.wire.denied.clear()
    await world.shows("runs", "Degraded", "False")
    assert (await world.condition("runs", "Ready"))["status"] == "True"


async def test_a_cluster_without_knative_is_told_what_to_install(world: World) -> None:
    world.cluster.wire.unknown.add("services")
    await world.start()
    assert "install Knative Serving first" in await world.tells("KindMissing")


async def test_without_our_definition_jobs_are_placed_all_the_same(world: World) -> None:
    world.cluster.wire.unknown.add("fljobs")
    controller = await world.lead()
    world.stored(job("one"))
    assert (await controller.place("one")).status_code == 200
    assert "manifests/crd/fljobs.yaml" in await world.tells("KindMissing")


async def test_an_api_server_that_is_away_for_a_minute_costs_nothing_that_is_there(world: World) -> None:
    controller = await world.lead()
    world.stored(job("one"))
    table = (await controller.place("one")).json()
    world.cluster.wire.down = True
    world.cluster.wire.cut()
    calls = world.cluster.wire.hung_up
    await world.clock.pass_(5.0)
    assert (await controller.client.get("/v1/placement")).json() == table, "what is placed is served on"
    world.stored(job("two"))
    refused = await controller.place("two")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    await world.clock.pass_(55.0)
    assert not controller.leading, "nobody may act without a lease"
    assert world.cluster.wire.hung_up - calls < 120, "pauses grow"
    world.cluster.wire.down = False
    back = await world.clock.until(lambda: controller.state.controller.ready)
    assert back <= 40.0
    await world.clock.until(lambda: "two" in controller.state.board.table.jobs)
    assert controller.state.board.table.version > table["version"]


async def test_an_api_server_that_is_away_at_the_start_is_waited_for(world: World) -> None:
    world.cluster.wire.down = True
    controller = await world.start()
    await world.clock.pass_(60.0)
    assert (await controller.client.get("/readyz")).status_code == 503
    assert (await controller.client.get("/healthz")).status_code == 200
    world.cluster.wire.down = False
    await world.clock.until(lambda: controller.state.controller.ready)


async def test_a_status_that_somebody_else_writes_too_is_written_again(world: World) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("job"))
    await world.shows("job", "Ready")
    await world.cluster.hand.merge(FLJOBS, "job", {"status": {"slices": 77, "conditions": []}}, "status")
    await world.shows("job", "Ready")
    assert (await world.status("job"))["slices"] == 1
