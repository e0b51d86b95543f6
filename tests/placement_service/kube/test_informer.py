"""An informer's copy is the server's objects, whatever happens to its watches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from services.common import tasks
from services.placement.kube.cluster import Cluster
from services.placement.kube.errors import ApiAway, KindMissing
from services.placement.kube.informer import FIRST_PAUSE_S, MOST_PAUSE_S, Informer
from services.placement.kube.resources import CONFIG_MAPS, Json
from tests.fakes.api import FakeApi, make_cluster
from tests.fakes.time import FakeTime, settle


def config_map(name: str, value: str = "") -> Json:
    return {**CONFIG_MAPS.head(name, labels={"mine": "yes"}), "data": {"value": value}}


class Site:
    """A server, its clock, and an informer of labelled config maps."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.api = FakeApi(time=self.time)
        self.cluster: Cluster = make_cluster(self.api, self.time)
        self.names: list[str] = []
        self.informer = Informer(self.cluster, CONFIG_MAPS, "mine=yes", self.names.append)

    def values(self) -> dict[str, str]:
        return {name: item["data"]["value"] for name, item in self.informer.objects.items()}

    async def put(self, name: str, value: str) -> None:
        """Create or change an object past the informer's connection."""
        server = FakeApi(self.api.objects, self.time)
        await server.apply(CONFIG_MAPS, config_map(name, value))

    async def drop(self, name: str) -> None:
        await FakeApi(self.api.objects, self.time).delete(CONFIG_MAPS, name)


@asynccontextmanager
async def running() -> AsyncIterator[Site]:
    here = Site()
    task = tasks.begin(here.informer.run(), "informer")
    try:
        yield here
    finally:
        await tasks.end(task)


async def test_what_exists_is_listed_and_what_changes_follows() -> None:
    async with running() as here:
        await here.put("a", "1")
        assert not here.informer.synced.is_set()
        await settle()
        assert here.informer.synced.is_set()
        await here.put("a", "2")
        await here.put("b", "1")
        await here.drop("a")
        await settle()
        assert here.values() == {"b": "1"}
        assert here.names == ["a", "a", "b", "a"]
        assert here.api.calls == [("list", "configmaps"), ("watch", "configmaps")]


async def test_objects_that_the_selector_does_not_match_are_unknown() -> None:
    async with running() as here:
        await here.api.create(CONFIG_MAPS, {**CONFIG_MAPS.head("other"), "data": {}})
        await settle()
        assert here.informer.objects == {}


async def test_a_watch_that_ends_is_taken_up_where_it_ended_without_a_list() -> None:
    async with running() as here:
        await here.put("a", "1")
        await settle()
        here.api.drop_watches()
        await here.put("b", "1")
        await here.time.advance(FIRST_PAUSE_S)
        assert here.values() == {"a": "1", "b": "1"}
        assert here.api.calls == [("list", "configmaps"), ("watch", "configmaps"), ("watch", "configmaps")]
        assert here.names == ["a", "b"], "nothing is told twice"


async def test_a_forgotten_version_is_listed_again_and_only_differences_are_told() -> None:
    async with running() as here:
        for name in "abc":
            await here.put(name, "1")
        await settle()
        here.names.clear()
        here.api.drop_watches()
        await settle()
        await here.drop("b")
        await here.put("c", "2")
        await here.put("d", "1")
        here.api.objects.expire()
        await here.time.advance(2 * FIRST_PAUSE_S + 2 * FIRST_PAUSE_S)
        assert here.values() == {"a": "1", "c": "2", "d": "1"}
        assert sorted(here.names) == ["b", "c", "d"]
        assert here.api.calls.count(("list", "configmaps")) == 2


async def test_while_the_server_is_away_the_objects_stay_and_pauses_grow_to_half_a_minute() -> None:
    async with running() as here:
        await here.put("a", "1")
        await settle()
        here.api.calls.clear()
        here.api.cut = True
        here.api.drop_watches()
        await here.time.advance(600.0)
        assert here.values() == {"a": "1"}
        growing = [0.2 * 2**number for number in range(8)]  # 0.2 … 25.6: together 51 s
        assert len(here.api.calls) == len(growing) + int((600.0 - sum(growing)) / MOST_PAUSE_S)
        assert here.cluster.errors.summarize()[0] == "ApiUnavailable"
        here.api.cut = False
        await here.put("a", "2")
        await here.time.advance(MOST_PAUSE_S)
        assert here.values() == {"a": "2"}
        assert not here.cluster.errors


async def test_one_broken_connection_alone_is_no_standing_error() -> None:
    async with running() as here:
        await settle()
        here.api.refusals["watch", "configmaps"] = ApiAway("connection reset")
        here.api.drop_watches()
        await settle()
        assert not here.cluster.errors
        await here.time.advance(FIRST_PAUSE_S)
        assert here.cluster.errors


async def test_a_kind_that_is_not_installed_is_reported_at_once() -> None:
    here = Site()
    here.api.refusals["list", "configmaps"] = KindMissing("install it first")
    task = tasks.begin(here.informer.run(), "informer")
    await settle()
    assert here.cluster.errors.summarize() == ("KindMissing", "install it first")
    assert not here.informer.synced.is_set()
    await tasks.end(task)


async def test_a_watch_that_lasted_is_begun_again_at_once() -> None:
    async with running() as here:
        await here.time.advance(300.0)
        here.api.drop_watches()
        await settle()
        assert here.api.calls.count(("watch", "configmaps")) == 2


names = st.sampled_from("abcd")
steps = st.one_of(
    st.tuples(st.just("put"), names, st.sampled_from("123")),
    st.tuples(st.just("delete"), names, st.just("")),
    st.tuples(st.sampled_from(["drop", "expire", "cut", "mend", "wait"]), st.just(""), st.just("")),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=30))
async def test_after_any_history_copy_and_server_agree(history: list[tuple[str, str, str]]) -> None:
    async with running() as here:
        expected: dict[str, str] = {}
        seen: dict[str, str] = {}
        for step, name, value in history:
            if step == "put":
                await here.put(name, value)
                expected[name] = value
            elif step == "delete" and name in expected:
                await here.drop(name)
                del expected[name]
            elif step in ("drop", "expire"):
                here.api.objects.expire() if step == "expire" else None
                here.api.drop_watches()
            elif step in ("cut", "mend"):
                here.api.cut = step == "cut"
            else:
                await here.time.advance(1.0)
        here.api.cut = False
        await here.time.advance(2 * MOST_PAUSE_S)
        assert here.values() == expected
        for name in here.names:
            seen[name] = "told"
        assert seen.keys() >= expected.keys(), "nothing came unannounced"
