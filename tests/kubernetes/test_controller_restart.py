"""A controller that has just begun to lead knows no job yet, and must not forget any."""

from tests.kubernetes.world import World, job


async def test_the_first_job_placed_after_a_start_does_not_push_the_others_out_of_the_table(world: World) -> None:
    first = await world.lead(identity="one")
    for name in ("one", "two"):
        world.stored(job(name))
        await first.place(name)
    owners = dict(first.state.board.table.jobs)
    await first.stop()
    second = await world.start("two", resync_s=3600.0)
    world.stored(job("three"))
    await second.state.controller.place(job("three").id)
    table = second.state.board.table
    assert {name: table.jobs[name] for name in owners} == owners
