"""Every call the controller makes, found out by having it do everything: a Role must grant them all."""

import asyncio
import tempfile
from pathlib import Path

from flstore_core import layout
from flstore_core.ids import JobId
from services.placement.kube.resources import FLJOBS, KNATIVE_SERVICES
from tests.kubernetes.wire import Call
from tests.kubernetes.world import World, fljob, job, world


def calls() -> set[Call]:
    """Return (verb, API group, resource, subresource) of all calls; runs the scenario on an event loop of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_recorded(Path(folder)))


async def _recorded(folder: Path) -> set[Call]:
    async with world(folder) as made:
        await everything(made)
        return set(made.cluster.wire.calls)


async def everything(world: World) -> None:
    """Have a controller lead, make, mend, mirror, show, delete, stand by and hand over."""
    first = await world.lead(identity="one", predictors=1)
    world.stored(job("over-http"))
    world.store.put(layout.program_record(layout.home(JobId("over-http"), "")), b"{}")
    await first.place("over-http")
    await world.cluster.hand.create(FLJOBS, fljob("by-hand", deletionPolicy="Delete", replicas=2))
    await world.shows("by-hand", "Ready")
    await world.shows("over-http", "Ready")
    await world.cluster.hand.delete(KNATIVE_SERVICES, "flstore-shard-0")
    await world.knative.wakes("flstore-shard-1", "pod-1")
    await world.cluster.hand.delete(FLJOBS, "by-hand")
    world.store.delete_prefix(layout.job_prefix(JobId("over-http")))
    await world.start("two")

    async def empty() -> bool:
        return not await world.cluster.hand.names(FLJOBS) and not await world.services()

    await world.clock.until(empty)
    await world.tells("ShardRemoved")
    await first.stop()
    await world.clock.until(lambda: world.running[1].state.controller.ready)
