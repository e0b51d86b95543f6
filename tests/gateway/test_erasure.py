"""After an erasure nothing of the client can be read, through any gateway: not what was made of it either."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import cast
from uuid import uuid4

import numpy as np
import pytest
from minio import Minio
from minio.versioningconfig import VersioningConfig

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.ids import ClientId
from flstore_core.shard import working_set
from flstore_core.storage import open_store
from flstore_core.storage.base import HistoryRemains
from services.gateway.answers import artifacts
from services.gateway.answers.execution import Outcome
from services.gateway.answers.operation_records import FAILED, RUNNING, SUCCEEDED, Operation
from services.gateway.answers.run import ATTEMPTS
from services.gateway.rounds.erase import Erasure
from services.gateway.rounds.index import ErasedMeanwhile
from services.gateway.threads import Pools
from tests.fakes.executors import HeldExecutor, InlineExecutor, LazyExecutor
from tests.fakes.interleaving import Scenario, Scheduler, explore
from tests.fakes.store import Call, MemoryStore
from tests.gateway.world import HOME, NAME, World, vector, world
from tests.servers import S3Server

REFRESH_S = 2.0
C0 = ClientId("c0")
TRACE = vector(1).astype(np.float32).tobytes()[:8]
"""The bias of the update of c0: found wherever a file has its floats."""


@dataclass(frozen=True)
class Site:
    """Two gateways of one system. Round 0 has c0, c1 and c2, round 1 has c0 alone; both are committed."""

    here: World
    there: World
    held: HeldExecutor
    """Has the work of the second gateway's operations."""

    def make(self, gateway: World, number: int) -> str:
        """Return the name of the artifact with the mean of a round's updates."""
        return str(gateway.run("aggregate", round=number).result["artifact"]["sha256"][:32])

    def erase(self) -> Erasure:
        return self.here.state.eraser.erase(NAME, C0)

    def start(self, workload: str, **params: object) -> Operation:
        """Start an operation at the second gateway."""
        return self.there.state.operations.start(NAME, workload, params, None, generation="g1")

    def find(self, operation: Operation) -> Operation:
        return self.here.state.operations.find_or_take_over(operation.id)


@pytest.fixture
def site() -> Site:
    return two_gateways()


def two_gateways() -> Site:
    inline, held = InlineExecutor(), HeldExecutor()
    pools = Pools(inline, LazyExecutor(), inline, inline, held, inline)
    here = world(pools=replace(pools, background=inline), refresh_seconds=REFRESH_S)
    here.create()
    here.fill(0, 3)
    here.put(1, "c0", 1, num_examples=10)
    for number in (0, 1):
        here.commit(number)
    there = world(store=here.store, shards=here.shards, time=here.time, pools=pools, refresh_seconds=REFRESH_S)
    return Site(here, there, held)


def left(site: Site) -> Iterator[str]:
    """Yield the keys of everything but audit records that names the client or has its floats."""
    for key, body in site.here.store.contents.items():
        if not key.startswith("audit/") and ("/c0" in key or b'"c0"' in body or TRACE in body):
            yield key


def artifacts_of(site: Site) -> list[str]:
    return sorted(key for key in site.here.store.contents if "/artifacts/" in key)


def test_every_place_is_reached_and_the_answer_counts_what_went(site: Site) -> None:
    for number in (0, 1):
        site.make(site.there, number)
    site.start("metrics")
    site.held.run_all()
    working_set.save(site.here.store, "shard-0", site.here.shards.engine)
    what = "two files, two records, two round records, one model of it alone, what a shard left behind"
    assert len([*left(site)]) == 8, what
    erasure = site.erase()
    assert [*left(site)] == []
    counts = {
        "updates": 2,
        "files": 2,
        "statistics": 2,
        "artifacts": 2,
        "operations": 1,
        "working_sets": 1,
        "old_versions": 0,
    }
    assert erasure.removed == counts
    assert erasure.objects == 7


def test_artifacts_of_the_client_alone_or_with_others_go_and_the_rest_stay(site: Site) -> None:
    site.here.put(2, "c1", 5)
    site.here.commit(2)
    made = [site.make(site.there, number) for number in (0, 1, 2)]
    site.erase()
    for name in made[:2]:
        with pytest.raises(NotFound):
            artifacts.read_metadata(site.there.store, site.there.job, name)
    assert artifacts_of(site) == [layout.artifact(HOME, made[2])]


def test_an_artifact_that_does_not_say_what_it_was_made_of_goes_with_any_client(site: Site) -> None:
    link = artifacts.writer(site.here.store, site.here.job, None)([np.zeros(6, np.float32)], {"workload": "mine"})
    site.here.store.put(layout.artifact(HOME, "no-model"), b"\x01")
    with pytest.raises(NotFound, match="client 'nobody' does not exist"):
        site.here.state.eraser.erase(NAME, ClientId("nobody"))
    assert layout.artifact(HOME, link.sha256[:32]) in artifacts_of(site)
    assert site.erase().removed["artifacts"] == 2
    assert artifacts_of(site) == []


def test_what_an_earlier_version_left_of_an_erased_client_can_be_erased(site: Site) -> None:
    """Its updates are gone already, and an artifact was not looked for."""
    name = site.make(site.here, 1)
    content = site.here.store.contents[layout.artifact(HOME, name)]
    site.erase()
    site.here.store.put(layout.artifact(HOME, name), content)
    assert site.erase().removed["artifacts"] == 1
    assert artifacts_of(site) == []
    with pytest.raises(NotFound, match="client 'c0' does not exist"):
        site.erase()


def test_other_gateways_answer_without_the_client_after_a_refresh_at_most(site: Site) -> None:
    """Files are gone at once; what is cached of records and statistics is used for `refresh_seconds`."""

    def clients(gateway: World) -> list[str]:
        return list(gateway.run("cosine-similarity", round=0).result["clients"])

    for gateway in (site.here, site.there):
        assert clients(gateway) == ["c0", "c1", "c2"]
    site.erase()
    with pytest.raises(NotFound):
        site.there.run("inspect", round=0, client="c0")
    site.there.time.sleep(REFRESH_S + 0.1)
    assert clients(site.there) == clients(site.here) == ["c1", "c2"]
    assert "c0" not in site.there.state.rounds.catalog.read_index(NAME).participations
    for number in (0, 1):
        assert "c0" not in site.there.state.rounds.openings.read_round(site.there.job, number).by_client
        with pytest.raises(NotFound):
            site.there.state.rounds.openings.read_model(site.there.job, number, C0)
    assert C0 not in {member.client for _, member in site.here.shards.engine.working_set()}


def test_kept_answers_go_with_the_client(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.answers.results.WORTH_KEEPING_S", 0.0)
    etag = site.there.run("cosine-similarity", round=0).etag
    assert etag
    results = site.there.state.runner.results
    assert results.get(etag)
    site.erase()
    site.there.time.sleep(REFRESH_S + 0.1)
    site.there.state.rounds.catalog.read_index(NAME)
    assert results.get(etag) is None


class TestOperations:
    def test_results_that_read_the_client_are_not_found_any_more_through_any_gateway(self, site: Site) -> None:
        site.here.put(2, "c1", 5)
        site.here.commit(2)
        read, other = site.start("cosine-similarity", round=0), site.start("metrics", first=2)
        site.held.run_all()
        assert site.find(read).state == site.find(other).state == SUCCEEDED
        assert site.erase().removed["operations"] == 1
        with pytest.raises(NotFound):
            site.find(read)
        assert site.find(other).state == SUCCEEDED

    def test_a_failed_one_that_names_the_client_goes(self, site: Site) -> None:
        failed = site.start("inspect", round=7, client="c0")
        site.held.run_all()
        assert site.find(failed).state == FAILED
        site.erase()
        with pytest.raises(NotFound):
            site.find(failed)

    def test_one_that_runs_begins_again_and_what_it_had_computed_is_dropped(self, site: Site) -> None:
        operation = site.start("cosine-similarity", round=0)

        def erase_at_the_end(call: Call) -> None:
            stored = json.loads(site.here.store.contents[call.key]) if call.key.startswith("operations/") else {}
            if call.method == "put" and stored.get("progress") is not None:
                site.here.store.before = lambda call: None
                site.erase()

        site.here.store.before = erase_at_the_end
        site.held.run_all()
        waiting = site.find(operation)
        assert (waiting.state, waiting.result, waiting.progress) == (RUNNING, None, None)
        site.here.time.sleep(16.0)
        again = site.find(operation)
        assert (again.attempts, again.state) == (1, RUNNING)
        done = site.find(operation)
        assert done.state == SUCCEEDED
        assert done.result["result"]["clients"] == ["c1", "c2"]

    def test_one_that_runs_and_names_the_client_fails_without_naming_it(self, site: Site) -> None:
        operation = site.start("inspect", round=0, client="c0")
        site.erase()
        site.held.run_all()
        failed = site.find(operation)
        assert (failed.state, failed.params) == (FAILED, {})
        assert failed.problem is not None
        assert failed.problem["code"] == "not-found"
        assert [*left(site)] == []

    def test_those_of_a_deleted_job_are_not_found_even_if_the_job_is_made_anew(self, site: Site) -> None:
        operation = site.start("cosine-similarity", round=0)
        site.held.run_all()
        site.here.state.jobs.delete(NAME)
        for make in (lambda: None, site.here.create):
            make()
            with pytest.raises(NotFound):
                site.find(operation)
        assert f"operations/{operation.id}.json" not in site.here.store.contents

    def test_one_whose_job_was_deleted_does_not_run_over_its_successor(self, site: Site) -> None:
        operation = site.start("metrics")
        site.here.state.jobs.delete(NAME)
        site.here.create()
        site.held.run_all()
        site.there.state.operations.sweep()
        with pytest.raises(NotFound):
            site.find(operation)

    def test_an_idempotency_key_of_a_deleted_job_is_free_again(self, site: Site) -> None:
        def start(generation: str) -> Operation:
            return site.here.state.operations.start(NAME, "metrics", {}, "key", generation=generation)

        first = start("g1")
        assert start("g1").id == first.id
        assert start("g2").id != first.id


def test_a_question_that_read_the_client_before_is_answered_anew(site: Site) -> None:
    """The erasure comes just before the model is written, when its sweep cannot find it."""

    def erase(call: Call) -> None:
        if call.method == "put" and "/artifacts/" in call.key:
            site.here.store.before = lambda call: None
            site.erase()

    site.here.store.before = erase
    answer = site.there.run("aggregate", round=0).result
    assert answer["clients"] == ["c1", "c2"]
    assert artifacts_of(site) == [layout.artifact(HOME, answer["artifact"]["sha256"][:32])]


def test_a_question_that_never_ends_before_the_next_erasure_is_told_to_ask_again(site: Site) -> None:
    clients = iter(f"c{index}" for index in range(3))

    def erase(call: Call) -> None:
        if call.method == "put" and "/artifacts/" in call.key and (client := next(clients, None)):
            site.here.state.eraser.erase(NAME, ClientId(client))

    site.here.put(2, "c3", 5)
    site.here.commit(2)
    assert ATTEMPTS == 3
    site.here.store.before = erase
    with pytest.raises(ErasedMeanwhile, match="ask again"):
        site.there.run("aggregate", round=2)
    assert artifacts_of(site) == []


def test_an_update_taken_back_meanwhile_is_no_erasure(site: Site) -> None:
    site.here.put(2, "c1", 5)

    def drop(call: Call) -> None:
        if call.method == "put" and "/artifacts/" in call.key:
            site.here.store.before = lambda call: None
            site.here.state.withdrawals.drop_update(site.here.job, 2, ClientId("c1"))

    site.here.store.before = drop
    assert site.there.run("aggregate", round=0).result["clients"] == ["c0", "c1", "c2"]


def test_in_every_order_of_question_and_erasure_no_model_of_the_client_is_left() -> None:
    def make(scheduler: Scheduler) -> Scenario:
        site = two_gateways()
        site.here.store.before = scheduler.pause

        def check(outcomes: Mapping[str, object]) -> None:
            site.here.store.before = lambda call: None
            answer, erasure = outcomes["ask"], outcomes["erase"]
            assert isinstance(erasure, Erasure)
            assert isinstance(answer, Outcome)
            assert [*left(site)] == []

        return Scenario({"ask": lambda: site.there.run("aggregate", round=0), "erase": site.erase}, check)

    assert explore(make, preemptions=2) > 10


def test_a_question_that_begins_during_the_erasure_and_ends_before_it_leaves_no_model() -> None:
    """It knows the tombstone when it reads the client, and its model comes after the search for such models."""
    site, scheduler = two_gateways(), Scheduler()
    site.here.store.before = scheduler.pause

    def ask() -> Outcome:
        site.there.state.rounds.catalog.refresh(NAME)
        return site.there.run("aggregate", round=0)

    asking, erasing = scheduler.start({"ask": ask, "erase": site.erase})
    erasing.run_until(Call("put", layout.member(HOME, 0, C0)))
    while asking.pending and "/artifacts/" not in asking.pending.key:
        asking.step()
    while erasing.step() != Call("list", "operations/"):
        pass
    answer = asking.finish()
    assert isinstance(answer, Outcome)
    assert answer.result["clients"] == ["c1", "c2"]
    assert isinstance(erasing.finish(), Erasure)
    site.here.store.before = lambda call: None
    assert [*left(site)] == []


class TestOldVersions:
    """In a bucket that keeps what was replaced and deleted."""

    @pytest.fixture
    def bucket(self, s3_server: S3Server) -> tuple[Minio, str]:
        name = f"erasure-{uuid4().hex}"
        host = s3_server.endpoint.removeprefix("http://")
        client = Minio(host, s3_server.access_key, s3_server.secret_key, secure=False, region="us-east-1")
        client.make_bucket(name)
        client.set_bucket_versioning(name, VersioningConfig("Enabled"))
        return client, name

    def versions(self, bucket: tuple[Minio, str]) -> Iterator[tuple[str, bytes]]:
        """Yield the key and the bytes of every version that there is."""
        client, name = bucket
        for entry in client.list_objects(name, recursive=True, include_version=True):
            if not entry.is_delete_marker:
                answer = client.get_object(name, str(entry.object_name), version_id=entry.version_id)
                with closing(answer):
                    yield str(entry.object_name), answer.read()

    def test_no_version_of_what_was_erased_is_left(self, bucket: tuple[Minio, str], s3_server: S3Server) -> None:
        with closing(open_store(f"s3://{bucket[1]}", s3_server.env)) as store:
            gateway = world(store=cast("MemoryStore", store))
            gateway.create()
            gateway.fill(0, 2)
            gateway.commit(0)
            gateway.fill(1, 2)
            gateway.state.withdrawals.drop_update(gateway.job, 1, C0)
            gateway.run("aggregate", round=0)
            gateway.state.operations.start(NAME, "metrics", {}, None, generation="g1")

            def named() -> set[str]:
                return {key for key, body in self.versions(bucket) if "/c0" in key or b'"c0"' in body or TRACE in body}

            assert len(named()) == 6, "an audit record, and in rounds a file and a record each, and a round record"
            erasure = gateway.state.eraser.erase(NAME, C0)
            assert erasure.removed["old_versions"] > 6
            assert "old_versions" not in erasure.remains
            left = {key for key in named() if not key.startswith(("audit/", "erasures/"))}
            assert left == {layout.member(HOME, 1, C0)}, "the mark of the removal, which the commit takes away"
            record = gateway.commit(1)
            assert [*record.by_client] == ["c1"]

    def test_a_store_that_may_have_some_is_told_of(self) -> None:
        gateway = world(store=Keeping())
        gateway.create()
        gateway.fill(0, 2)
        erasure = gateway.state.eraser.erase(NAME, C0)
        assert erasure.remains["old_versions"] == "the store does not say"
        assert "old_versions" not in erasure.removed
        with pytest.raises(NotFound):
            gateway.state.eraser.erase(NAME, C0)


class Keeping(MemoryStore):
    def purge_history(self, folder: str, concerns: Callable[[str], bool]) -> int:
        raise HistoryRemains("the store does not say")
