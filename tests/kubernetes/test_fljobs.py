"""Jobs made as objects and jobs made over HTTP are the same jobs."""

import json

import pytest

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.generations import Generations
from flstore_core.ids import ClientId, Home, JobId
from services.placement.fljobs.reconciler import FINALIZER
from services.placement.fljobs.spec import choose_object_name
from services.placement.kube.resources import FLJOBS, ORIGIN
from tests.kubernetes.world import MIB, SCHEMA, World, fljob, job

JOB = JobId("job")


def home(world: World) -> Home:
    """Return where the job lies."""
    return Generations(world.store).read(JOB).home


async def gone(world: World, name: str) -> None:
    async def is_gone() -> bool:
        return await world.cluster.hand.get(FLJOBS, name) is None

    await world.clock.until(is_gone)


async def test_an_object_makes_the_job_a_gateway_would_find(world: World) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("job", hotRounds=3, statistics="off"))
    ready = await world.shows("job", "Ready")
    assert ready["reason"] == "Serving"
    record = Generations(world.store).read(JOB)
    assert record.schema == SCHEMA
    assert (record.hot_rounds, record.statistics, record.replicas) == (3, "off", 1)
    status = await world.status("job")
    assert (status["slices"], status["shards"], status["shardNames"]) == (1, 1, ["shard-0"])
    assert (status["parameters"], status["updateBytes"]) == (256 * 1024, MIB)
    assert "1 slice on shard-0" in await world.tells("JobPlaced")


async def test_a_job_made_over_http_appears_as_an_object(world: World) -> None:
    controller = await world.lead()
    world.stored(job("job", replicas=2))
    await controller.place("job")
    await world.shows("job", "Ready")
    item = await world.cluster.hand.get(FLJOBS, "job")
    assert item is not None
    assert item["metadata"]["labels"][ORIGIN] == "http"
    assert (item["spec"]["job"], item["spec"]["replicas"]) == ("job", 2)
    assert "schema" not in item["spec"]


async def test_a_job_deleted_over_http_takes_its_mirror_along(world: World) -> None:
    controller = await world.lead()
    world.stored(job("job"))
    await controller.place("job")
    await world.shows("job", "Ready")
    world.store.delete(layout.job(JOB))
    await controller.client.delete("/v1/placement/jobs/job")
    await gone(world, "job")


async def test_an_object_for_a_job_that_exists_adopts_it_without_a_schema(world: World) -> None:
    await world.lead()
    world.stored(job("job", hot_rounds=7))
    await world.cluster.hand.create(FLJOBS, {**FLJOBS.head("job"), "spec": {"hotRounds": 7}})
    await world.shows("job", "Ready")
    assert await world.cluster.hand.names(FLJOBS) == ["job"]


async def test_an_object_that_contradicts_the_stored_job_says_where(world: World) -> None:
    await world.lead()
    world.stored(job("job", hot_rounds=7))
    await world.cluster.hand.create(FLJOBS, fljob("job", hotRounds=3))
    conflict = await world.shows("job", "Ready", "False", "Conflict")
    assert "hot_rounds is 7 there and 3 here" in conflict["message"]
    assert json.loads(world.store.get(layout.job(JOB)))["hot_rounds"] == 7


async def test_a_schema_may_come_from_another_job(world: World) -> None:
    await world.lead()
    world.stored(job("model"))
    spec = {"schemaFrom": "model", "clientsPerRound": 1}
    await world.cluster.hand.create(FLJOBS, {**FLJOBS.head("job"), "spec": spec})
    await world.shows("job", "Ready")
    assert Generations(world.store).read(JOB).schema == SCHEMA


@pytest.mark.parametrize(
    ("spec", "reason", "advice"),
    [
        ({}, "InvalidParameters", "give spec.schema"),
        ({"schemaFrom": "nobody"}, "NotFound", "'nobody', which does not exist"),
        (
            {"schema": [{"name": "n", "dtype": "I64", "shape": [1]}]},
            "InvalidParameters",
            "no floating-point parameters",
        ),
        ({"schema": [{"name": "n", "dtype": "F32", "shape": [1]}] * 2}, "InvalidSpec", "tensor names must be distinct"),
    ],
)
async def test_an_object_that_cannot_be_a_job_says_why(
    world: World, spec: dict[str, object], reason: str, advice: str
) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, {**FLJOBS.head("job"), "spec": spec})
    refused = await world.shows("job", "Ready", "False", reason)
    assert advice in refused["message"]


async def test_a_job_that_fits_no_shard_is_refused_with_sizes(world: World) -> None:
    await world.lead(cache_bytes=MIB // 8, shards=4)
    await world.cluster.hand.create(FLJOBS, fljob("job"))
    refused = await world.shows("job", "Placed", "False", "InsufficientCapacity")
    assert "give shards more memory" in refused["message"]
    assert refused["message"] == await world.tells("JobRefused")


async def test_more_replicas_than_shards_are_refused(world: World) -> None:
    await world.lead(shards=2)
    await world.cluster.hand.create(FLJOBS, fljob("job", replicas=3))
    assert "there are 2 shards" in (await world.shows("job", "Placed", "False"))["message"]


async def test_two_objects_cannot_speak_for_one_job(world: World) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("a-first", job="job"))
    await world.shows("a-first", "Ready")
    await world.cluster.hand.create(FLJOBS, fljob("b-second", job="job"))
    assert "'a-first' already speaks" in (await world.shows("b-second", "Ready", "False", "Duplicate"))["message"]
    await world.cluster.hand.delete(FLJOBS, "a-first")
    await world.shows("b-second", "Ready")


async def test_deleting_an_object_keeps_the_job_which_is_shown_again(world: World) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("job"))
    await world.shows("job", "Ready")
    await world.cluster.hand.delete(FLJOBS, "job")

    async def mirrored() -> bool:
        item = await world.cluster.hand.get(FLJOBS, "job")
        return item is not None and item["metadata"].get("labels", {}).get(ORIGIN) == "http"

    await world.clock.until(mirrored)
    assert world.store.get(layout.job(JOB))


async def test_deleting_an_object_deletes_the_data_where_it_says_so(world: World) -> None:
    controller = await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("job", deletionPolicy="Delete"))
    await world.shows("job", "Ready")
    item = await world.cluster.hand.get(FLJOBS, "job")
    assert item is not None
    assert item["metadata"]["finalizers"] == [FINALIZER]
    world.store.put(layout.tensors(home(world), 0, ClientId("c")), b"update")
    await world.cluster.hand.delete(FLJOBS, "job")
    await gone(world, "job")
    assert [info.key for info in world.store.list(layout.job_prefix(JOB))] == [layout.job(JOB)]
    with pytest.raises(NotFound):
        home(world)
    assert JOB not in controller.state.board.table.jobs
    assert "all its data are deleted" in await world.tells("JobDeleted")


async def test_whoever_changes_their_mind_about_deletion_keeps_the_data(world: World) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("job", deletionPolicy="Delete"))
    await world.shows("job", "Ready")
    await world.cluster.hand.merge(FLJOBS, "job", {"spec": {"deletionPolicy": "Retain"}})

    async def free() -> bool:
        item = await world.cluster.hand.get(FLJOBS, "job")
        return item is not None and not item["metadata"].get("finalizers")

    await world.clock.until(free)
    await world.cluster.hand.delete(FLJOBS, "job")
    await world.clock.pass_(5.0)
    assert world.store.get(layout.job(JOB))


async def test_a_deletion_that_was_called_off_while_nobody_looked_keeps_the_data(world: World) -> None:
    world.stored(job("job"))
    whole = fljob("job", deletionPolicy="Retain")
    whole["metadata"]["finalizers"] = [FINALIZER]
    made = await world.cluster.hand.create(FLJOBS, whole)
    await world.cluster.hand.delete(FLJOBS, "job")
    await world.lead()

    async def let_go() -> bool:
        item = await world.cluster.hand.get(FLJOBS, "job")
        return item is None or item["metadata"]["uid"] != made["metadata"]["uid"]

    await world.clock.until(let_go)
    assert world.store.get(layout.job(JOB))


async def test_the_status_counts_rounds_and_bytes(world: World) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("job"))
    await world.shows("job", "Ready")
    for number in range(3):
        world.store.put(layout.tensors(home(world), number, ClientId("c")), bytes(1000))
    for number in range(2):
        world.store.put(layout.round_record(home(world), number), bytes(50))

    async def counted() -> bool:
        return bool((await world.status("job")).get("rounds") == 2)

    await world.clock.until(counted)
    status = await world.status("job")
    assert (status["openRounds"], status["latestRound"], status["bytesDurable"]) == (1, 1, 3100)
    assert status["durable"] == "3.0 KiB"
    world.store.put(layout.tensors(home(world), 2, ClientId("d")), bytes(1000))

    async def grown() -> bool:
        return bool((await world.status("job"))["bytesDurable"] == 4100)

    await world.clock.until(grown)


async def test_a_budget_decides_how_many_rounds_are_kept_hot(world: World) -> None:
    await world.lead()
    await world.cluster.hand.create(FLJOBS, fljob("job", budget="12Mi"))
    await world.shows("job", "Ready")
    assert json.loads(world.store.get(layout.job(JOB)))["hot_rounds"] == 5, "(1 client + aggregate) x (5 + 1) x 1 MiB"
    await world.cluster.hand.merge(FLJOBS, "job", {"spec": {"budget": "3Mi"}})
    over = await world.shows("job", "Degraded", reason="OverBudget")
    assert "12.0 MiB, over the budget of 3.0 MiB" in over["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"hotRounds": 9},
        {"replicas": 2},
        {"statistics": "off"},
        {"clientsPerRound": 99},
        {"updates": "delta"},
        {"weightKey": "other"},
    ],
)
async def test_what_shapes_stored_data_cannot_be_changed(world: World, change: dict[str, object]) -> None:
    whole = fljob("job", hotRounds=2, replicas=1, statistics="exact", updates="weights", weightKey="samples")
    await world.cluster.hand.create(FLJOBS, whole)
    assert "cannot be changed" in await world.cluster.hand.refused(FLJOBS, "job", {"spec": change})


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"replicas": 9},
        {"budget": "lots"},
        {"roundInterval": "soon"},
        {"statistics": "maybe"},
        {"updates": "diff"},
        {"weightKey": ""},
        {"job": "/"},
    ],
)
async def test_nonsense_is_refused_by_the_definition(world: World, wrong: dict[str, object]) -> None:
    await world.cluster.hand.create(FLJOBS, fljob("job"))
    assert "invalid" in await world.cluster.hand.refused(FLJOBS, "job", {"spec": wrong})


@pytest.mark.parametrize("name", ["Job_1", "a" * 100, "x.-y", "UPPER", "a..b"])
async def test_a_job_whose_name_no_object_may_have_is_mirrored_under_a_similar_one(world: World, name: str) -> None:
    controller = await world.lead()
    world.stored(job(name))
    await controller.place(name)
    await world.shows(choose_object_name(JobId(name)), "Ready")
    assert choose_object_name(JobId(name)) != name
