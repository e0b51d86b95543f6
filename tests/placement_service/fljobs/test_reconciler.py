"""Objects and jobs come to agree from wherever they start, and then nothing more is written."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core import layout
from flstore_core.errors import Unavailable
from flstore_core.ids import ClientId, JobId, ShardId
from flstore_core.records import Job, to_bytes
from flstore_core.storage import DirectoryStore
from services.placement.board import Board
from services.placement.controller import Controller
from services.placement.fleet import Fleet
from services.placement.fljobs.objects import Objects
from services.placement.fljobs.reconciler import FINALIZER, Reconciler
from services.placement.fljobs.spec import make_mirror
from services.placement.fljobs.usage import Usage
from services.placement.fljobs.warmth import Warmth
from services.placement.kube.errors import NotPermitted, ObjectMissing
from services.placement.kube.resources import FLJOBS, Json, name_of
from services.placement.memory import Memory
from services.placement.metrics import Metrics
from services.placement.runtime import BackendSpec
from tests.fakes.api import FakeApi, make_cluster
from tests.fakes.runtime import FakeRuntime
from tests.fakes.time import FakeTime
from tests.kubernetes.world import MIB, SCHEMA, fljob, job

JOB = JobId("job")
HOME = layout.home(JOB, "")
WRITES = {"create", "apply", "merge", "replace", "delete"}


class Site:
    """A server with objects, a store with jobs, and the reconciler between them."""

    def __init__(self, folder: Path, make_memory: Callable[[DirectoryStore], Memory] = Memory) -> None:
        self.time = FakeTime()
        self.api = FakeApi(time=self.time)
        self.person = FakeApi(self.api.objects, self.time)
        """Somebody else's connection."""
        self.cluster = make_cluster(self.api, self.time)
        self.store = DirectoryStore(folder)
        self.memory = make_memory(self.store)
        specs = [BackendSpec(ShardId(f"shard-{index}"), 8 * MIB, "lru", 0.0) for index in range(2)]
        self.controller = Controller(self.memory, Fleet(FakeRuntime(), specs), Board(), Metrics(), self.time)
        self.copy: dict[str, Json] = {}
        """The objects as an informer would have them."""
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
        usage, warmth = Usage(self.store, self.time), Warmth(self.client, self.time)
        self.reconciler = Reconciler(self.cluster, Objects(self.copy), self.controller, usage, warmth)

    async def look(self) -> None:
        """Bring the informer's copy up to date."""
        items, _ = await self.person.list(FLJOBS)
        self.copy.clear()
        self.copy.update({name_of(item): item for item in items})

    async def reconcile(self, name: str = "job") -> bool:
        await self.look()
        exists = await self.reconciler.reconcile(name)
        await self.look()
        return exists

    async def settle(self, most: int = 8) -> None:
        """Reconcile every object again and again until a round writes nothing; fail after `most` rounds."""
        for _ in range(most):
            self.api.calls.clear()
            await self.look()
            for name in tuple(self.copy):
                await self.reconcile(name)
            if not any(verb in WRITES for verb, _ in self.api.calls):
                return
        raise AssertionError(f"after {most} rounds it still writes: {self.api.calls}")

    def store_job(self, record: Job) -> None:
        self.store.put(layout.job(record.id), to_bytes(record.to_json()))

    async def delete_job(self, name: JobId) -> None:
        """Delete a job as a gateway does."""
        self.memory.delete_job(name)
        await self.controller.forget(name)

    def condition(self, name: str, kind: str = "Ready") -> Json:
        conditions = self.copy[name].get("status", {}).get("conditions", ())
        return next((each for each in conditions if each["type"] == kind), {})


@asynccontextmanager
async def site(folder: Path, make_memory: Callable[[DirectoryStore], Memory] = Memory) -> AsyncIterator[Site]:
    here = Site(folder, make_memory)
    try:
        yield here
    finally:
        await here.client.aclose()


async def test_the_example_in_the_module_s_docstring(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.person.create(FLJOBS, fljob("job"))
        assert await here.reconcile()
        assert here.condition("job")["reason"] == "Serving"
        assert here.memory.read_job(JOB) == Job(JOB, SCHEMA, clients_per_round=1, created_at=here.time.now())
        here.api.calls.clear()
        assert await here.reconcile()
        assert here.api.calls == [], "the second pass writes nothing"


async def test_an_object_that_is_gone_is_no_work(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        assert not await here.reconcile("nobody")


async def test_a_spec_that_cannot_be_read_says_so_until_it_can(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        twice = [{"name": "n", "dtype": "F32", "shape": [1]}] * 2
        await here.person.create(FLJOBS, {**FLJOBS.head("job"), "spec": {"schema": twice}})
        await here.settle()
        assert here.condition("job")["reason"] == "InvalidSpec"
        await here.person.delete(FLJOBS, "job")
        await here.settle()
        assert here.copy == {}


async def test_a_spec_that_cannot_be_read_does_not_keep_its_object_from_being_deleted(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        whole = fljob("job", deletionPolicy="Delete")
        whole["metadata"]["finalizers"] = [FINALIZER, "somebody/else"]
        await here.person.create(FLJOBS, whole)
        await here.person.delete(FLJOBS, "job")
        await here.look()
        here.copy["job"]["spec"]["schema"] = [{"name": "n", "dtype": "?", "shape": [1]}]
        assert await here.reconciler.reconcile("job")
        await here.look()
        assert here.copy["job"]["metadata"]["finalizers"] == ["somebody/else"]


async def test_a_user_s_object_comes_before_a_mirror_which_goes(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        here.store_job(job("job"))
        await here.person.create(FLJOBS, make_mirror(job("job"), "job", "flstore", []))
        await here.settle()
        assert here.condition("job")["status"] == "True"
        await here.person.create(FLJOBS, fljob("mine", job="job"))
        await here.settle()
        assert here.copy.keys() == {"mine"}
        assert here.condition("mine")["status"] == "True"


async def test_an_object_that_is_deleted_with_its_data_leaves_it_to_another_that_speaks_for_the_job(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as here:
        await here.person.create(FLJOBS, fljob("a", job="job", deletionPolicy="Delete"))
        await here.settle()
        await here.person.create(FLJOBS, fljob("b", job="job"))
        await here.settle()
        await here.person.delete(FLJOBS, "a")
        await here.settle()
        assert here.copy.keys() == {"b"}
        assert here.memory.read_job(JOB) is not None
        assert here.condition("b")["status"] == "True"


async def test_a_job_that_a_gateway_deletes_while_it_is_created_is_tried_again(tmp_path: Path) -> None:
    class Vanishing(Memory):
        def create_job(self, job: Job) -> bool:
            return True

    async with site(tmp_path, Vanishing) as here:
        await here.person.create(FLJOBS, fljob("job"))
        with pytest.raises(Unavailable, match="job 'job' was deleted while it was being created; trying again"):
            await here.reconcile()


async def test_a_job_that_a_gateway_creates_at_the_same_time_is_adopted(tmp_path: Path) -> None:
    class Faster(Memory):
        def create_job(self, record: Job) -> bool:
            here.store_job(job("job", hot_rounds=9))
            return super().create_job(record)

    async with site(tmp_path, Faster) as here:
        await here.person.create(FLJOBS, fljob("job"))
        await here.settle()
        assert here.condition("job")["status"] == "True"
        stored = here.memory.read_job(JOB)
        assert stored is not None
        assert stored.hot_rounds == 9


async def test_what_a_deletion_that_broke_off_has_left_is_cleared(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        here.store.put(layout.tensors(HOME, 0, ClientId("c")), b"of an earlier job")
        await here.person.create(FLJOBS, fljob("job"))
        await here.settle()
        assert [info.key for info in here.store.list(layout.rounds_prefix(HOME))] == []


async def test_a_status_that_cannot_be_written_now_is_no_failure_of_the_pass(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.person.create(FLJOBS, fljob("job"))
        here.api.refusals["apply", "fljobs"] = ObjectMissing("deleted meanwhile")
        assert await here.reconcile()
        assert "status" not in here.copy["job"]
        here.api.refusals["apply", "fljobs"] = NotPermitted("may not patch fljobs/status")
        with pytest.raises(NotPermitted):
            await here.reconcile()


async def test_a_finalizer_on_an_object_that_is_gone_meanwhile_needs_no_work(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.person.create(FLJOBS, fljob("job", deletionPolicy="Delete"))
        here.api.refusals["merge", "fljobs"] = ObjectMissing("deleted meanwhile")
        assert await here.reconcile()
        assert FINALIZER not in here.copy["job"]["metadata"].get("finalizers", ())


async def test_a_refusal_of_the_cluster_is_shown_by_the_cluster_s_word(tmp_path: Path) -> None:
    async with site(tmp_path) as here:

        async def refuse(spec: BackendSpec) -> str:
            raise NotPermitted("may not patch services")

        here.controller.fleet.runtime.ensure = refuse  # type: ignore[method-assign]
        await here.person.create(FLJOBS, fljob("job"))
        await here.reconcile()
        assert here.condition("job") | {"message": ""} == here.condition("job", "Placed") | {
            "type": "Ready",
            "message": "",
        }
        assert here.condition("job")["reason"] == "Forbidden"


async def test_standing_errors_and_an_exceeded_budget_are_what_degrades_a_job(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        await here.person.create(FLJOBS, fljob("job", hotRounds=2, budget="1Mi"))
        here.cluster.errors.report("watching pods", NotPermitted("may not watch pods"))
        await here.reconcile()
        degraded = here.condition("job", "Degraded")
        assert (degraded["status"], degraded["reason"]) == ("True", "Forbidden")
        assert degraded["message"].startswith("may not watch pods; 2 hot rounds of 1 clients take 6.0 MiB, over")


names = st.sampled_from(["a", "b", "c"])
jobs = st.sampled_from([JobId("x"), JobId("y")])
spec = st.fixed_dictionaries(
    {"job": jobs},
    optional={
        "hotRounds": st.sampled_from([1, 2]),
        "replicas": st.sampled_from([1, 2, 3]),
        "deletionPolicy": st.sampled_from(["Delete", "Retain"]),
        "budget": st.sampled_from(["1Mi", "100Mi"]),
    },
)
step = st.one_of(
    st.tuples(st.just("create"), names, spec),
    st.tuples(st.just("mirror"), names, jobs),
    st.tuples(st.just("bare"), names, spec),
    st.tuples(st.just("remove"), names, st.none()),
    st.tuples(st.just("store"), names, jobs),
    st.tuples(st.just("unstore"), names, jobs),
    st.tuples(st.just("reconcile"), names, st.none()),
)


async def take(here: Site, kind: str, name: str, value: Any) -> None:
    """Let somebody, or the reconciler, do one thing; what is not possible does not happen."""
    await here.look()
    if kind in ("create", "bare") and name not in here.copy:
        item = fljob(name, **value)
        if kind == "bare":
            del item["spec"]["schema"]
        await here.person.create(FLJOBS, item)
    elif kind == "mirror" and name not in here.copy:
        await here.person.create(FLJOBS, make_mirror(job(value), name, "flstore", []))
    elif kind == "remove":
        await here.person.delete(FLJOBS, name)
    elif kind == "store" and here.memory.read_job(value) is None:
        here.store_job(job(value))
    elif kind == "unstore":
        await here.delete_job(value)
    elif kind == "reconcile":
        await here.reconcile(name)


@settings(max_examples=20, deadline=None)
@given(st.lists(step, max_size=14))
async def test_from_any_history_objects_and_jobs_come_to_agree(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, str, Any]]
) -> None:
    async with site(tmp_path_factory.mktemp("reconcile")) as here:
        for kind, name, value in history:
            await take(here, kind, name, value)
        await here.settle()
        objects, table = Objects(here.copy), here.controller.board.table.jobs
        for name, item in here.copy.items():
            assert "deletionTimestamp" not in item["metadata"], "whatever was deleted is gone"
            assert {each["type"] for each in item["status"]["conditions"]} == {"Ready", "Placed", "Degraded"}
            name_of_job = JobId(item["spec"]["job"])
            speaks = objects.find_claimant(name_of_job) == name
            deletes = item["spec"].get("deletionPolicy") == "Delete"
            assert (FINALIZER in item["metadata"].get("finalizers", ())) == deletes
            if here.condition(name)["status"] == "True":
                assert speaks
                assert here.memory.read_job(name_of_job) is not None
                assert name_of_job in table
            elif speaks:
                reasons = {"Conflict", "InvalidParameters", "NotFound", "InsufficientCapacity"}
                assert here.condition(name)["reason"] in reasons
            else:
                assert here.condition(name)["reason"] == "Duplicate"
