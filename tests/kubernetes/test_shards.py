"""Shards come with the jobs that need them and go with them, and stay as they are to be."""

from typing import Any

from flstore_core import layout
from flstore_core.ids import JobId
from services.placement.kube.resources import FLJOBS, KNATIVE_SERVICES
from tests.kubernetes.world import World, fljob, job

Json = dict[str, Any]
FIRST = "flstore-shard-0"


async def service(world: World, name: str = FIRST) -> Json:
    item = await world.cluster.hand.get(KNATIVE_SERVICES, name)
    assert item is not None
    return item


def container(item: Json) -> Json:
    inner: Json = item["spec"]["template"]["spec"]["containers"][0]
    return inner


def retention(item: Json) -> str:
    annotations = item["spec"]["template"]["metadata"]["annotations"]
    return str(annotations["autoscaling.knative.dev/scale-to-zero-pod-retention-period"])


async def test_no_shard_is_made_before_a_job_needs_one(world: World) -> None:
    await world.lead()
    assert await world.services() == []


async def test_a_job_gets_the_shards_its_working_set_needs(world: World) -> None:
    controller = await world.lead()
    world.stored(job("small"))
    answer = await controller.place("small")
    assert answer.json()["jobs"]["small"]["owners"] == [["shard-0"]]
    assert await world.services() == [FIRST]
    url = answer.json()["shards"]["shard-0"]["url"]
    assert url == f"http://{FIRST}.{world.cluster.namespace}.svc.cluster.local"
    assert "shard-0" in await world.tells("ShardCreated")


async def test_more_jobs_get_more_shards_up_to_the_most_there_may_be(world: World) -> None:
    controller = await world.lead()
    for count, shards in ((1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 4)):
        world.stored(job(f"job-{count}"))
        assert (await controller.place(f"job-{count}")).status_code == 200
        assert len(await world.services()) == shards, f"{count} jobs of 6 MiB on shards of 8 MiB"


async def test_replicas_get_a_shard_each(world: World) -> None:
    controller = await world.lead()
    world.stored(job("copied", replicas=3))
    owners = (await controller.place("copied")).json()["jobs"]["copied"]["owners"]
    assert sorted(owners[0]) == ["shard-0", "shard-1", "shard-2"]


async def test_shards_nobody_needs_any_more_go_after_the_table_has_let_go_of_them(world: World) -> None:
    controller = await world.lead()
    world.stored(job("one"), job("two"))
    await controller.place("one")
    await controller.place("two")
    assert len(await world.services()) == 2
    world.store.delete(layout.job(JobId("two")))
    await controller.client.delete("/v1/placement/jobs/two")
    await world.clock.until(lambda: controller.state.board.table.jobs.keys() == {"one"})
    table = controller.state.board.table
    assert table.jobs[JobId("one")].owners == (("shard-0",),)
    assert table.shards.keys() == {"shard-0"}

    async def one_left() -> bool:
        return await world.services() == [FIRST]

    await world.clock.until(one_left)


async def test_predictors_are_made_once_a_job_has_a_program_to_run(world: World) -> None:
    controller = await world.lead(predictors=1)
    world.stored(job("runs"))
    await controller.place("runs")
    assert await world.services() == [FIRST]
    world.store.put(layout.program_record(layout.home(JobId("runs"), "")), b"{}")

    async def predicted() -> bool:
        return await world.services() == ["flstore-predictor-0", FIRST]

    await world.clock.until(predicted)
    made = container(await service(world, "flstore-predictor-0"))
    assert (made["image"], made["command"][-1]) == ("flstore-torch:test", "services.predictor")


async def test_what_somebody_changes_is_put_right_and_what_they_add_is_left(world: World) -> None:
    controller = await world.lead()
    world.stored(job("small"))
    await controller.place("small")
    changed = {
        "spec": {"template": {"spec": {"containerConcurrency": 0}}},
        "metadata": {"annotations": {"mine": "yes"}},
    }
    await world.cluster.hand.merge(KNATIVE_SERVICES, FIRST, changed)

    async def right() -> bool:
        return bool((await service(world))["spec"]["template"]["spec"]["containerConcurrency"] == 8)

    await world.clock.until(right)
    assert (await service(world))["metadata"]["annotations"] == {"mine": "yes"}


async def test_a_shard_that_is_made_public_is_hidden_again(world: World) -> None:
    controller = await world.lead()
    world.stored(job("small"))
    await controller.place("small")
    label = "networking.knative.dev/visibility"
    await world.cluster.hand.merge(KNATIVE_SERVICES, FIRST, {"metadata": {"labels": {label: None}}})

    async def hidden() -> bool:
        return bool((await service(world))["metadata"]["labels"].get(label) == "cluster-local")

    await world.clock.until(hidden)


async def test_a_deleted_shard_comes_back(world: World) -> None:
    controller = await world.lead()
    world.stored(job("small"))
    await controller.place("small")
    uid = (await service(world))["metadata"]["uid"]
    await world.cluster.hand.delete(KNATIVE_SERVICES, FIRST)

    async def back() -> bool:
        item = await world.cluster.hand.get(KNATIVE_SERVICES, FIRST)
        return item is not None and item["metadata"]["uid"] != uid

    await world.clock.until(back)


async def test_somebody_who_insists_is_named_and_not_fought_for_ever(world: World) -> None:
    controller = await world.lead()
    world.stored(job("small"))
    await controller.place("small")
    for concurrency in range(20, 40):
        change = {"spec": {"template": {"spec": {"containerConcurrency": concurrency}}}}
        await world.cluster.hand.merge(KNATIVE_SERVICES, FIRST, change)
        await world.knative.accepts(FIRST)
        await world.clock.pass_(1.0)
    assert "leave its specification to this controller" in await world.tells("Conflict")
    patches = [call for call in world.cluster.wire.calls if call[:3] == ("patch", "serving.knative.dev", "services")]
    assert len(patches) < 15


async def test_a_restart_finds_the_shards_and_changes_nothing(world: World) -> None:
    first = await world.lead()
    world.stored(job("small"))
    await first.place("small")
    before, table = await service(world), first.state.board.table
    await first.stop()
    second = await world.lead(identity="two")
    assert second.state.board.table == table
    after = await service(world)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["spec"] == before["spec"]


async def test_an_upgrade_rolls_one_shard_after_the_other(world: World) -> None:
    first = await world.lead()
    world.stored(job("copied", replicas=2))
    await first.place("copied")
    for name in (FIRST, "flstore-shard-1"):
        await world.knative.accepts(name)
    await first.stop()
    world.env["FLSTORE_SHARD_IMAGE"] = "flstore:next"
    await world.lead(identity="two")

    async def rolled() -> list[str]:
        return [
            name for name in await world.services() if container(await service(world, name))["image"] == "flstore:next"
        ]

    async def some() -> bool:
        return bool(await rolled())

    await world.clock.until(some)
    await world.clock.pass_(30.0)
    (begun,) = await rolled()
    await world.knative.accepts(begun)

    async def both() -> bool:
        return len(await rolled()) == 2

    await world.clock.until(both)


async def test_idle_shards_stay_until_the_next_round_of_any_job_is_due(world: World) -> None:
    controller = await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("paced", roundInterval="8m"))
    await world.shows("paced", "Ready")

    async def stays() -> bool:
        return retention(await service(world)) == "600s"

    await world.clock.until(stays)
    await world.cluster.hand.merge(FLJOBS, "paced", {"spec": {"roundInterval": "5h"}})

    async def leaves() -> bool:
        return retention(await service(world)) == "60s"

    await world.clock.until(leaves)
    assert controller.leading
