"""Whoever changes a stored record keeps what a later version has added to it, and passes over later formats."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flstore_core import layout
from flstore_core.errors import NewerFormat
from flstore_core.formats import FORMAT
from flstore_core.generations import VERSION, Generations
from flstore_core.ids import ClientId, JobId
from flstore_core.storage import DirectoryStore, ObjectStore
from services.gateway.answers.operation_records import SUCCEEDED
from tests.fakes.clock import FakeTime
from tests.fakes.store import MemoryStore
from tests.gateway.answers.test_operations import Gateway
from tests.gateway.rounds.world import HOME, JOB, NAME, World, world
from tests.placement_service.test_controller import create, site

LATER: dict[str, Any] = {"x-later": {"deadline": 7}}
ADA = ClientId("ada")


def add(store: ObjectStore, key: str, **fields: Any) -> None:
    """Add fields to a stored record, as a later version would."""
    store.put(key, json.dumps({**json.loads(store.get(key)), **fields}).encode())


def read(store: ObjectStore, key: str) -> Any:
    return json.loads(store.get(key))


class TestRounds:
    """Openings, members' records and round records."""

    @pytest.fixture
    def gateway(self) -> World:
        gateway = world()
        gateway.put(0, "ada", 1)
        gateway.put(0, "bob", 2)
        add(gateway.store, layout.opening(HOME, 0), **LATER)
        add(gateway.store, layout.member(HOME, 0, ADA), **LATER)
        return gateway

    def test_a_commit_keeps_what_was_added_to_opening_and_members(self, gateway: World) -> None:
        gateway.commit(0)
        opening, record = (read(gateway.store, key(HOME, 0)) for key in (layout.opening, layout.round_record))
        assert (opening["closing"], opening["x-later"]) == (True, LATER["x-later"])
        assert [member.get("x-later") for member in record["members"]] == [LATER["x-later"], None]

    def test_a_settlement_keeps_what_was_added_to_the_round(self, gateway: World) -> None:
        record = gateway.commit(0)
        key = layout.round_record(HOME, 0)
        etags = {each: gateway.store.stat(layout.member(HOME, 0, ClientId(each))).etag for each in ("ada", "bob")}
        add(gateway.store, key, listed=etags, **LATER)
        gateway.rounds.records.forget(HOME)
        assert gateway.rounds.records.read_record(JOB, 0) == record
        assert read(gateway.store, key)["x-later"] == LATER["x-later"]
        assert "listed" not in read(gateway.store, key)

    def test_an_erasure_keeps_what_was_added_to_the_others(self, gateway: World) -> None:
        gateway.commit(0)
        add(gateway.store, layout.round_record(HOME, 0), **LATER)
        gateway.erase("bob")
        record = read(gateway.store, layout.round_record(HOME, 0))
        assert (record["x-later"], record["members"][0]["x-later"]) == (LATER["x-later"], LATER["x-later"])

    @pytest.mark.parametrize("key", [layout.opening(HOME, 0), layout.member(HOME, 0, ADA)])
    def test_a_round_with_a_record_of_a_later_format_is_left_as_it_is(self, gateway: World, key: str) -> None:
        add(gateway.store, key, **{FORMAT: 2})
        with pytest.raises(NewerFormat, match="has format 2"):
            gateway.commit(0)
        assert read(gateway.store, key)[FORMAT] == 2
        assert gateway.stored_record(0) is None


class TestJobs:
    """Job records."""

    def test_a_proposal_that_is_taken_over_and_settled_keeps_what_was_added(self) -> None:
        store = MemoryStore()
        generations = Generations(store)
        generations.propose(JOB)
        add(store, layout.job(NAME), **LATER)
        proposal = generations.propose(replace(JOB, generation="g9"))
        assert proposal
        assert generations.settle(proposal)
        record = read(store, layout.job(NAME))
        assert (record["state"], record["generation"], record["x-later"]) == ("live", "g1", LATER["x-later"])

    def test_a_later_format_is_refused_by_everybody_and_hides_no_other_job(self) -> None:
        gateway = world()
        gateway.jobs.create(replace(JOB, id=JobId("other")))
        add(gateway.store, layout.job(NAME), version=VERSION + 1)
        with pytest.raises(NewerFormat, match=f"a job's record has format {VERSION + 1}"):
            gateway.put(0, "ada", 1)
        with pytest.raises(NewerFormat):
            gateway.jobs.delete(NAME)
        assert [each.job.id for each in gateway.rounds.catalog.read_indices([NAME, JobId("other")])] == ["other"]


class TestPlacement:
    """The placement table."""

    async def test_a_new_table_keeps_what_was_added_to_it_to_shards_and_to_jobs(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path / "store")
        create(store, "a")
        await site(store).controller.resync()
        table = read(store, layout.TABLE)
        table["shards"]["shard-0"] |= LATER
        table["jobs"]["a"] |= LATER
        store.put(layout.TABLE, json.dumps(table | LATER).encode())
        create(store, "b")
        await site(store, "elsewhere").controller.resync()
        after = read(store, layout.TABLE)
        assert after["version"] == table["version"] + 1
        assert [part.get("x-later") for part in (after, after["shards"]["shard-0"], after["jobs"]["a"])] == [
            LATER["x-later"]
        ] * 3
        assert "x-later" not in {**after["shards"]["shard-1"], **after["jobs"]["b"]}

    async def test_a_job_of_a_later_format_is_passed_over(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path / "store")
        here, later = site(store), create(store, "later")
        create(store, "known")
        add(store, layout.job(later), version=VERSION + 1)
        await here.controller.resync()
        assert set(here.table.jobs) == {"known"}
        with pytest.raises(NewerFormat):
            await here.controller.place(later)


class TestOperations:
    """Operations' records."""

    def test_a_renewal_and_an_end_keep_what_was_added(self) -> None:
        time, store = FakeTime(), MemoryStore()
        here = Gateway(store, time)
        started = here.operations.start(JobId("j"), "evaluate", {}, None, read_only=True)
        key = f"operations/{started.id}.json"
        record = read(store, key)
        record["problem"]["later"] |= LATER
        store.put(key, json.dumps(record | LATER).encode())
        other = Gateway(store, time)
        other.operations.find_or_take_over(started.id)
        time.clock.now += 16.0
        other.operations.renew()  # takes the operation over, since nobody has renewed it
        other.held.run_all()
        after = read(store, key)
        assert (after["state"], after["x-later"]) == (SUCCEEDED, LATER["x-later"])
        assert after["problem"]["later"]["read_only"] is True
        assert after["problem"]["later"]["x-later"] == LATER["x-later"]
        assert other.operations.find_or_take_over(started.id).problem is None, "callers do not see it"

    def test_a_sweep_passes_over_a_later_format(self) -> None:
        time, store = FakeTime(), MemoryStore()
        here = Gateway(store, time)
        later, known = here.start(), here.start()
        add(store, f"operations/{later.id}.json", **{FORMAT: 2})
        here.held.run_all()
        time.clock.now += 86_500.0
        Gateway(store, time).operations.sweep()
        assert f"operations/{later.id}.json" in store.contents
        assert f"operations/{known.id}.json" not in store.contents
