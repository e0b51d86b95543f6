"""Two controllers: one leads, the other stands by and knows the way."""

from services.placement.kube.election import LEASE_S
from services.placement.kube.resources import CONFIG_MAPS, LEASES
from tests.kubernetes.world import World, job

LEASE = "flstore-placement"


async def holder(world: World) -> str:
    lease = await world.cluster.hand.get(LEASES, LEASE)
    return str(lease["spec"].get("holderIdentity")) if lease else ""


async def test_only_one_leads_and_the_other_passes_on_what_it_is_asked(world: World) -> None:
    first = await world.lead(identity="one")
    second = await world.start("two")
    await world.clock.pass_(10.0)
    assert (first.leading, second.leading) == (True, False)
    assert (await second.client.get("/readyz")).status_code == 200
    world.stored(job("job"))
    answer = await second.place("job")
    assert answer.json()["jobs"]["job"]["owners"] == [["shard-0"]]
    assert first.state.board.table.version == answer.json()["version"]
    assert second.state.board.table.version == 0
    assert (await second.client.get("/v1/placement")).json() == answer.json()
    refused = await second.place("missing")
    assert (refused.status_code, refused.json()["code"]) == (404, "not-found")
    assert "one leads" in await world.tells("LeaderElected")


async def test_a_leader_that_is_told_to_leave_hands_over_at_once(world: World) -> None:
    first = await world.lead(identity="one")
    second = await world.start("two")
    await world.clock.pass_(3.0)
    await first.stop()
    assert await holder(world) == ""
    assert await world.clock.until(lambda: second.leading) < LEASE_S / 2


async def test_a_leader_that_dies_is_followed_after_its_lease_and_its_table_goes_on(world: World) -> None:
    first = await world.lead(identity="one")
    world.stored(job("job"))
    await first.place("job")
    second = await world.start("two")
    await world.clock.pass_(3.0)
    await world.dies(first)
    await world.clock.pass_(LEASE_S - 5.0)
    assert not second.leading, "its lease has not run out"
    lost = await second.client.get("/v1/placement")
    assert (lost.status_code, lost.headers["retry-after"]) == (503, "1")
    await world.clock.until(lambda: second.state.controller.ready, 15.0)
    assert second.state.board.table == first.state.board.table


async def test_a_leader_cut_off_from_the_cluster_steps_down_before_another_leads(world: World) -> None:
    first = await world.lead(identity="one")
    world.cluster.wire.down = True
    world.cluster.wire.cut()
    stepped_down = await world.clock.until(lambda: not first.leading)
    assert stepped_down < LEASE_S - 1.0
    assert not first.state.controller.ready or (await first.client.get("/v1/placement")).status_code == 503
    world.cluster.wire.down = False
    await world.clock.until(lambda: first.state.controller.ready and first.leading)


async def test_a_leader_whose_renewal_hangs_steps_down_before_another_leads(world: World) -> None:
    first = await world.lead(identity="one")
    world.cluster.wire.frozen = True
    assert await world.clock.until(lambda: not first.leading) < LEASE_S - 1.0
    world.cluster.wire.frozen = False


async def test_however_controllers_are_cut_off_two_never_lead(world: World) -> None:
    both = {"one": await world.start("one"), "two": await world.start("two")}
    led: list[str] = []
    for second in range(300):
        world.cluster.wire.cut_off = {
            name for name, since in (("one", 20), ("two", 80)) if since <= second % 120 < since + 40
        }
        if world.cluster.wire.cut_off:
            world.cluster.wire.cut()
        await world.clock.pass_(1.0)
        leading = [name for name, each in both.items() if each.leading]
        assert len(leading) <= 1, f"after {second} s"
        if leading and leading != led[-1:]:
            led += leading
    assert len(led) >= 4, "each has followed the other"


async def test_a_lease_taken_by_somebody_else_ends_the_term(world: World) -> None:
    first = await world.lead(identity="one")
    lease = await world.cluster.hand.get(LEASES, LEASE)
    assert lease is not None
    taken = {"spec": {"holderIdentity": "usurper", "leaseTransitions": 9}}
    await world.cluster.hand.merge(LEASES, LEASE, taken)
    await world.clock.until(lambda: not first.leading)
    await world.clock.until(lambda: first.leading, 30.0)
    assert await holder(world) == "one"


async def test_the_lease_belongs_to_the_release(world: World) -> None:
    await world.lead()
    owner = await world.cluster.hand.get(CONFIG_MAPS, "flstore-owner")
    lease = await world.cluster.hand.get(LEASES, LEASE)
    assert owner is not None
    assert lease is not None
    assert lease["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
