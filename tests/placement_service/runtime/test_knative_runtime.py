"""Whatever people and connections do to Knative services, they come to be as the controller wants them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.ids import ShardId
from services.common import tasks
from services.placement.kube.errors import ApiAway, NotPermitted
from services.placement.kube.resources import EVENTS, KNATIVE_SERVICES, Json
from services.placement.runtime.base import BackendSpec, Kind, Phase
from services.placement.runtime.knative.drift import WINDOW_S
from services.placement.runtime.knative.runtime import ROLLOUT_S, KnativeRuntime
from tests.fakes.api import FakeApi, make_cluster
from tests.fakes.time import FakeTime, settle
from tests.kubernetes.objects import KINDS
from tests.placement_service.runtime.witness import Witness

MIB = 1 << 20
ZERO, ONE = ShardId("shard-0"), ShardId("shard-1")
PREDICTOR = ShardId("predictor-0")
KNATIVE = next(kind for kind in KINDS if kind.full_name == KNATIVE_SERVICES.full_name)
READY = {"type": "Ready", "status": "True"}


def spec(backend: ShardId, cache_bytes: int = MIB) -> BackendSpec:
    kind = Kind.PREDICTOR if backend == PREDICTOR else Kind.SHARD
    return BackendSpec(backend, cache_bytes, "lru", 0.0, kind)


def variables(service: Json) -> dict[str, str]:
    container = service["spec"]["template"]["spec"]["containers"][0]
    return {each["name"]: each["value"] for each in container["env"]}


class Site:
    """A runtime on a cluster, and somebody with kubectl."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.api = FakeApi(time=self.time)
        self.person = FakeApi(self.api.objects, self.time)
        self.cluster = make_cluster(self.api, self.time, predictor_image="flstore-torch:test")
        self.runtime = KnativeRuntime(self.cluster, Witness())

    async def services(self) -> dict[str, Json]:
        items, _ = await self.person.list(KNATIVE_SERVICES)
        return {item["metadata"]["name"].removeprefix("flstore-"): item for item in items}

    async def edit(self, backend: ShardId, **template: Any) -> None:
        if backend in await self.services():
            patch = {"spec": {"template": {"spec": template}}}
            await self.person.merge(KNATIVE_SERVICES, f"flstore-{backend}", patch)
            await settle()

    async def accept(self) -> None:
        """Report every service as ready, as Knative does after a change."""
        for service in (await self.services()).values():
            status = {"observedGeneration": service["metadata"]["generation"], "conditions": [READY]}
            await self.api.objects.merge(KNATIVE, service["metadata"]["name"], {"status": status}, "knative", True)
        await settle()


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    here = Site()
    running = [tasks.begin(here.runtime.run(), "runtime"), tasks.begin(here.cluster.events.run(), "events")]
    await here.runtime.wait_until_synced()
    try:
        yield here
    finally:
        await tasks.end(*running)


async def test_ensuring_creates_a_service_without_a_pod_under_a_fixed_address() -> None:
    async with site() as here:
        url = await here.runtime.ensure(spec(ZERO))
        await settle()
        assert url == await here.runtime.ensure(spec(ZERO)) == "http://flstore-shard-0.test.svc.cluster.local"
        await here.runtime.ensure(spec(PREDICTOR))
        await settle()
        assert [(state.id, state.phase) for state in await here.runtime.observe()] == [
            ("shard-0", Phase.ZERO),
            ("predictor-0", Phase.ZERO),
        ]
        assert here.api.calls.count(("apply", "services")) == 2


async def test_removing_deletes_the_service_and_says_so() -> None:
    async with site() as here:
        await here.runtime.ensure(spec(ZERO))
        await settle()
        await here.runtime.remove(ZERO)
        await here.runtime.remove(ONE)
        await settle()
        assert await here.services() == {}
        assert await here.runtime.observe() == []
        events, _ = await here.person.list(EVENTS)
        assert {event["reason"] for event in events} == {"ShardCreated", "ShardRemoved"}


async def test_a_service_that_cannot_be_created_is_a_standing_error_until_it_can() -> None:
    async with site() as here:
        here.api.refusals["apply", "services"] = NotPermitted("may not patch services")
        with pytest.raises(NotPermitted):
            await here.runtime.ensure(spec(ZERO))
        assert here.cluster.errors.summarize() == ("Forbidden", "may not patch services")
        here.api.refusals.clear()
        await here.runtime.ensure(spec(ZERO))
        assert not here.cluster.errors


async def test_changes_roll_through_the_shards_one_at_a_time() -> None:
    async with site() as here:
        for backend in (ZERO, ONE):
            await here.runtime.ensure(spec(backend))
        await here.accept()
        for backend in (ZERO, ONE):
            await here.runtime.ensure(spec(backend, 2 * MIB))
        await here.time.advance(ROLLOUT_S / 2)

        async def budgets() -> list[str]:
            return sorted(variables(service)["FLSTORE_CACHE_BYTES"] for service in (await here.services()).values())

        assert await budgets() == [str(MIB), str(2 * MIB)], "the second waits for the first"
        await here.accept()
        await here.time.advance(1.0)
        assert await budgets() == [str(2 * MIB)] * 2


async def test_a_shard_that_does_not_come_up_holds_the_others_for_three_minutes_only() -> None:
    async with site() as here:
        for backend in (ZERO, ONE):
            await here.runtime.ensure(spec(backend))
        await here.accept()
        for backend in (ZERO, ONE):
            await here.runtime.ensure(spec(backend, 2 * MIB))
        await here.time.advance(ROLLOUT_S + 1.0)
        assert {variables(each)["FLSTORE_CACHE_BYTES"] for each in (await here.services()).values()} == {str(2 * MIB)}


async def test_a_longer_retention_reaches_every_service() -> None:
    async with site() as here:
        for backend in (ZERO, ONE):
            await here.runtime.ensure(spec(backend))
        await settle()
        here.runtime.set_retention(100.0)
        for _ in range(2):
            await here.time.advance(1.0)
            await here.accept()
        await here.time.advance(2.0)
        calls = len(here.api.calls)
        here.runtime.set_retention(110.0)
        await here.time.advance(1.0)
        assert len(here.api.calls) == calls, "the same step"
        name = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"
        services = (await here.services()).values()
        assert {each["spec"]["template"]["metadata"]["annotations"][name] for each in services} == {"120s"}


async def test_a_runtime_that_starts_later_finds_the_backends_of_the_one_before() -> None:
    async with site() as here:
        await here.runtime.ensure(spec(ZERO))
        await here.runtime.ensure(spec(PREDICTOR))
        later = KnativeRuntime(here.cluster, Witness())
        running = tasks.begin(later.run(), "later")
        await later.wait_until_synced()
        assert [(state.id, state.kind) for state in await later.observe()] == [
            ("shard-0", Kind.SHARD),
            ("predictor-0", Kind.PREDICTOR),
        ]
        await later.close()
        await tasks.end(running)
        assert set(await here.services()) == {"shard-0", "predictor-0"}, "closing leaves them as they are"


backends = st.sampled_from([ZERO, ONE, PREDICTOR])
steps = st.one_of(
    st.tuples(st.just("ensure"), backends, st.sampled_from([MIB, 2 * MIB])),
    st.tuples(st.sampled_from(["remove", "delete", "edit", "accept"]), backends, st.just(0)),
    st.tuples(st.sampled_from(["cut", "mend", "drop", "forget", "wait"]), st.just(ZERO), st.just(0)),
)


async def take(here: Site, wanted: dict[ShardId, int], step: str, backend: ShardId, cache_bytes: int) -> None:
    """Let the controller, a person or the connection do one thing, and a second pass."""
    with suppress(ApiAway):
        if step == "ensure":
            wanted[backend] = cache_bytes
            await here.runtime.ensure(spec(backend, cache_bytes))
        elif step == "remove":
            await here.runtime.remove(backend)
            del wanted[backend]
    if step == "delete":
        await here.person.delete(KNATIVE_SERVICES, f"flstore-{backend}")
    elif step == "edit":
        await here.edit(backend, containerConcurrency=99)
    elif step == "accept":
        await here.accept()
    elif step in ("cut", "mend"):
        here.api.cut = step == "cut"
    elif step in ("drop", "forget"):
        here.api.objects.expire() if step == "forget" else None
        here.api.drop_watches()
    await here.time.advance(1.0)


@settings(max_examples=25, deadline=None)
@given(st.lists(steps, max_size=15))
async def test_after_any_history_the_services_are_those_that_are_wanted(
    history: list[tuple[str, ShardId, int]],
) -> None:
    async with site() as here:
        wanted: dict[ShardId, int] = {}
        for step, backend, cache_bytes in history:
            if step != "remove" or backend in wanted:
                await take(here, wanted, step, backend, cache_bytes)
        here.api.cut = False
        for _ in range(3):
            await here.time.advance(WINDOW_S)
            await here.accept()
            for backend, cache_bytes in wanted.items():  # as every pass of the controller does
                await here.runtime.ensure(spec(backend, cache_bytes))
        await here.time.advance(2 * ROLLOUT_S)
        services = await here.services()
        seen = {str(state.id) for state in await here.runtime.observe()}
        assert seen == set(services), "what is to be removed is seen"
        for backend, cache_bytes in wanted.items():
            service = services[backend]
            assert variables(service)["FLSTORE_CACHE_BYTES"] == str(cache_bytes)
            assert service["spec"]["template"]["spec"]["containerConcurrency"] == 8
