"""How updates are taken in: what is written in which order, and what becomes of trouble on the way."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest

from flstore_core import layout
from flstore_core.codec import Canonical, parse
from flstore_core.errors import (
    Conflict,
    InvalidTensors,
    NotFound,
    PreconditionFailed,
    RoundCommitted,
    StoreUnavailable,
    Unavailable,
)
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Member, Round
from flstore_core.shard.protocol import MemberRef, SliceRef
from services.gateway.backends.outbox import FORGET_AFTER_S
from services.gateway.rounds.ingest import COMMIT_POLL_SECONDS, COMMIT_POLLS, Receipt, pack
from services.gateway.rounds.upload import Upload
from tests.fakes.clock import FakeTime
from tests.fakes.executors import HeldExecutor
from tests.fakes.interleaving import RacingTime, Scheduler
from tests.fakes.store import Call, MemoryStore
from tests.gateway.rounds.world import HOME, JOB, NAME, World, body, world

CLIENT = ClientId("c")
TENSORS, MEMBER = layout.tensors(HOME, 0, CLIENT, "u1"), layout.member(HOME, 0, CLIENT)
"""Of the first upload."""
OPENING, RECORD = layout.opening(HOME, 0), layout.round_record(HOME, 0)


def on_call(store: MemoryStore, method: str, key: str, act: Callable[[], object], *, after: bool = False) -> None:
    """Have `act` done once, before or after a store's first call of `method` for `key`."""

    def hook(call: Call) -> None:
        if call == Call(method, key):
            setattr(store, name, lambda call: None)
            act()

    name = "after" if after else "before"
    setattr(store, name, hook)


def fail() -> None:
    raise StoreUnavailable("the store is away")


class TestAcknowledged:
    """What is there once an update is acknowledged."""

    def test_tensors_and_record_are_in_the_store(self) -> None:
        time = FakeTime()
        gateway = world(time=time)
        content = body(1)
        receipt = gateway.put(0, "c", content, {"num_examples": 7})
        digest = hashlib.sha256(content).hexdigest()
        offset = 8 + int.from_bytes(content[:8], "little")
        expected = Member(CLIENT, digest, len(content), offset, {"num_examples": 7}, time.now(), "u1")
        assert receipt == Receipt(expected, created=True)
        assert gateway.stored_tensors(0, "c") == content
        assert gateway.stored_member(0, "c") == expected

    def test_an_aggregate_is_taken_in_likewise(self) -> None:
        gateway = world()
        gateway.put_aggregate(0, 5)
        assert gateway.store.contents[layout.tensors(HOME, 0, AGGREGATE, "u1")] == body(5)
        assert gateway.stored_member(0, AGGREGATE) == gateway.rounds.records.read_member(JOB, 0, AGGREGATE)

    def test_the_record_is_written_after_the_tensors_and_job_and_mark_are_read_last(self) -> None:
        gateway = world()
        gateway.put(0, "other", 2)
        calls: list[Call] = []
        gateway.store.before = calls.append
        gateway.put(0, "c", 1)
        assert calls == [
            Call("get_with_info", MEMBER),
            Call("get_with_info", OPENING),
            Call("put", layout.tensors(HOME, 0, CLIENT, "u2")),
            Call("put", MEMBER),
            Call("get", layout.job(NAME)),
            Call("get_with_info", OPENING),
        ]

    def test_the_first_update_of_a_round_opens_it(self) -> None:
        gateway = world()
        gateway.put(3, "c", 1)
        assert list(gateway.rounds.catalog.read_index(NAME).open) == [3]

    def test_the_same_bytes_again_are_no_news(self) -> None:
        gateway = world()
        first = gateway.put(0, "c", 1, {"loss": 1.0})
        assert gateway.put(0, "c", 1, {"loss": 1.0}) == replace(first, created=False)

    def test_the_same_bytes_with_other_metrics_are_a_conflict_by_every_way_into_the_round(self) -> None:
        gateway = world()
        differs = pytest.raises(Conflict, match=r"these bytes with other metrics from 'c'; loss is 2\.0, stored: 1\.0")

        def overtake() -> None:
            gateway.put(0, "c", 1, {"loss": 1.0})

        on_call(gateway.store, "put", MEMBER, overtake)
        with differs:
            gateway.put(0, "c", 1, {"loss": 2.0})
        with differs:
            gateway.put(0, "c", 1, {"loss": 2.0})
        gateway.commit(0)
        with differs:
            gateway.put(0, "c", 1, {"loss": 2.0})

    def test_the_same_bytes_after_the_commit_are_no_news(self) -> None:
        gateway = world()
        first = gateway.put(0, "c", 1)
        gateway.commit(0)
        assert gateway.put(0, "c", 1) == replace(first, created=False)

    def test_the_same_aggregate_after_the_commit_is_no_news(self) -> None:
        gateway = world()
        first = gateway.put_aggregate(0, 1)
        gateway.commit(0)
        assert gateway.put_aggregate(0, 1) == replace(first, created=False)


class TestRefused:
    """What is refused, and what is left of it: nothing."""

    def test_a_bad_body_touches_nothing(self) -> None:
        gateway = world()
        calls: list[Call] = []
        gateway.store.before = calls.append
        with pytest.raises(InvalidTensors):
            gateway.put(0, "c", b"junk")
        assert calls == []

    def test_other_bytes_conflict(self) -> None:
        gateway = world()
        gateway.put(0, "c", 1)
        with pytest.raises(Conflict, match="round 0 of job 'job' already has different bytes from 'c'"):
            gateway.put(0, "c", 2)
        assert gateway.stored_tensors(0, "c") == body(1)

    def test_other_bytes_at_once_conflict(self) -> None:
        gateway = world()
        other = World.make(gateway.store)
        on_call(gateway.store, "put", TENSORS, lambda: other.put(0, "c", 3))
        with pytest.raises(Conflict):
            gateway.put(0, "c", 4)
        assert gateway.stored_tensors(0, "c") == body(3)

    def test_a_committed_round_takes_nothing_more(self) -> None:
        gateway = world()
        gateway.put(0, "a", 1)
        gateway.commit(0)
        before = gateway.store.contents
        with pytest.raises(RoundCommitted, match="round 0 of job 'job' was committed without 'c'; it takes no"):
            gateway.put(0, "c", 1)
        assert gateway.store.contents == before

    def test_what_the_commit_passed_over_is_removed(self) -> None:
        gateway = world()
        gateway.put(0, "a", 1)
        other = World.make(gateway.store)
        on_call(gateway.store, "put", MEMBER, lambda: other.commit(0))
        with pytest.raises(RoundCommitted):
            gateway.put(0, "c", 1)
        assert gateway.stored_tensors(0, "c") is None
        assert gateway.stored_member(0, "c") is None

    def test_an_update_for_a_deleted_job_is_not_acknowledged(self) -> None:
        gateway = world()
        gateway.put(0, "a", 1)
        on_call(
            gateway.store,
            "put",
            layout.tensors(HOME, 0, CLIENT, "u2"),
            lambda: World.make(gateway.store).jobs.delete(NAME),
        )
        with pytest.raises(NotFound, match="round 0 of job 'job' does not exist"):
            gateway.put(0, "c", 1)


class TestBesideACommit:
    """An upload that comes upon the commit mark."""

    def mark(self, gateway: World) -> None:
        gateway.put(0, "a", 1)
        gateway.rounds.openings.mark_commit(JOB, 0)

    def test_it_waits_for_the_commit_to_end(self) -> None:
        time = FakeTime()
        gateway = world(time=time)
        self.mark(gateway)
        other = World.make(gateway.store)
        waited = time.now()

        def commit_at_last(call: Call) -> None:
            if time.now() - waited > 10 * COMMIT_POLL_SECONDS:
                gateway.store.before = lambda call: None
                other.commit(0)

        gateway.store.before = commit_at_last
        with pytest.raises(RoundCommitted):
            gateway.put(0, "c", 2)
        assert len(time.clock.pauses) == 11

    @pytest.mark.parametrize(
        ("order", "counted"),
        [
            (["record", "look", "mark", "list"], True),
            (["record", "mark", "look", "list"], True),
            (["mark", "list", "record", "look"], False),
        ],
        ids=["after", "between", "before"],
    )
    def test_the_orders_of_the_modules_table(self, order: list[str], counted: bool) -> None:
        """Let an upload that has read the opening and a commit go on step by step, in this order."""
        scheduler = Scheduler()
        time = RacingTime(scheduler)
        setting = world(time=time)
        setting.put(0, "a", 2)
        one, other = World.make(setting.store, time), World.make(setting.store, time)
        setting.store.before = scheduler.pause
        upload, commit = scheduler.start({"upload": lambda: one.put(0, "c", 1), "commit": lambda: other.commit(0)})
        steps = {
            "record": (upload, Call("put", MEMBER)),
            "look": (upload, Call("get_with_info", OPENING)),
            "mark": (commit, Call("put", OPENING)),
            "list": (commit, Call("list", layout.clients_prefix(HOME, 0))),
        }
        upload.run_until(Call("put", MEMBER))
        for step in order:
            task, call = steps[step]
            task.run_until(call)
            task.step()
        record, receipt = commit.finish(), upload.finish()
        assert isinstance(record, Round)
        assert ("c" in record.by_client) is counted
        assert isinstance(receipt, Receipt if counted else RoundCommitted)

    def test_it_gives_up_on_a_commit_that_broke_off(self) -> None:
        time = FakeTime()
        gateway = world(time=time)
        self.mark(gateway)
        with pytest.raises(Unavailable, match="is being committed; send the update again to learn"):
            gateway.put(0, "c", 2)
        assert sum(time.clock.pauses) == pytest.approx((COMMIT_POLLS - 1) * COMMIT_POLL_SECONDS)
        assert gateway.stored_member(0, "c") is None
        gateway.commit(0)
        with pytest.raises(RoundCommitted):
            gateway.put(0, "c", 2)

    def test_a_retry_that_was_counted_after_all_is_acknowledged(self) -> None:
        gateway = world()
        other = World.make(gateway.store)
        on_call(gateway.store, "get_with_info", OPENING, lambda: (other.put(0, "c", 1), other.commit(0)))
        receipt = gateway.put(0, "c", 1)
        assert receipt == Receipt(gateway.commit(0).members[0], created=False)

    def test_a_record_that_is_removed_while_it_is_sent_again_is_not_acknowledged(self) -> None:
        gateway = world()
        other = World.make(gateway.store)

        def store_first() -> None:
            other.put(0, "c", 1)
            on_call(gateway.store, "get_with_info", MEMBER, lambda: other.store.delete(MEMBER))

        on_call(gateway.store, "put", TENSORS, store_first)
        with pytest.raises(Unavailable, match="'c' was removed from round 0 of job 'job' while it was sent"):
            gateway.put(0, "c", 1)


class TestCutOff:
    """Uploads that broke off between tensors and record."""

    def leave_tensors(self, gateway: World, seed: int = 1) -> None:
        on_call(gateway.store, "put", MEMBER, fail)
        with pytest.raises(StoreUnavailable):
            gateway.put(0, "c", seed)
        assert gateway.stored_files(0) == {"c~u1.safetensors"}

    @pytest.mark.parametrize("seed", [1, 2], ids=["the-same-bytes", "other-bytes"])
    def test_they_hinder_nobody_and_no_clock_is_asked(self, seed: int) -> None:
        gateway = world()
        self.leave_tensors(gateway, 1)
        assert gateway.put(0, "c", seed).created
        assert gateway.stored_tensors(0, "c") == body(seed)

    def test_one_that_only_stalled_cannot_touch_what_another_stored_meanwhile(self) -> None:
        gateway = world()
        other = World.make(gateway.store)
        on_call(gateway.store, "put", MEMBER, lambda: other.put(0, "c", 2))
        with pytest.raises(Conflict):
            gateway.put(0, "c", 1)
        assert gateway.stored_tensors(0, "c") == body(2)
        assert gateway.stored_files(0) == {"c~u2.safetensors"}

    def test_the_commit_deletes_what_they_left(self) -> None:
        gateway = world()
        self.leave_tensors(gateway)
        gateway.put(0, "a", 2)
        gateway.commit(0)
        assert gateway.stored_files(0) == {"a~u2.safetensors"}

    def test_one_that_began_before_an_erasure_brings_nothing_back(self) -> None:
        gateway = world()
        gateway.put(1, "c", 1)
        other = World.make(gateway.store)
        on_call(gateway.store, "put", MEMBER, lambda: other.erase("c"))
        with pytest.raises(Unavailable, match="removed from round 0"):
            gateway.put(0, "c", 1)
        assert gateway.stored_files(0) == set()
        assert gateway.put(0, "c", 1).created, "it may come back"

    def test_a_record_that_the_store_was_asked_to_write_twice_is_its_own(self) -> None:
        gateway = world()

        def write_before(call: Call) -> None:
            if call == Call("put", MEMBER):
                gateway.store.after = lambda call: None
                again.append(gateway.store.contents[MEMBER])
                raise PreconditionFailed("it exists: the answer to the first request got lost")

        again: list[bytes] = []
        gateway.store.after = write_before
        assert gateway.put(0, "c", 1).created
        assert gateway.stored_tensors(0, "c") == body(1)


class TestSlices:
    """What the shards are handed while the store writes."""

    def test_each_shard_gets_its_part_of_the_data(self) -> None:
        gateway = world(slices=2)
        content = body(1)
        gateway.put(0, "c", content)
        data = content[-24:]
        slices = gateway.backends.shards.slices
        assert {key: sent[0] for key, sent in slices.items()} == {(0, 0, "c"): data[:12], (1, 0, "c"): data[12:]}

    def test_shards_learn_the_base(self) -> None:
        gateway = world()
        gateway.put_aggregate(0, 5)
        aggregate = gateway.commit(0).aggregate
        assert aggregate is not None
        gateway.put(1, "c", 1)
        assert gateway.backends.shards.slices[0, 1, CLIENT][1] == MemberRef.of(0, aggregate)
        assert gateway.backends.shards.slices[0, 0, AGGREGATE][1] is None

    def test_shards_in_trouble_hinder_no_upload(self, caplog: pytest.LogCaptureFixture) -> None:
        gateway = world(slices=2)
        gateway.backends.shards.trouble = Unavailable("the shard is gone")
        assert gateway.put(0, "c", 1).created
        logged = [(record.message, *map(vars(record).get, ("slice", "error"))) for record in caplog.records]
        assert logged == [("slice not sent", index, "the shard is gone") for index in (0, 1)]

    def test_a_shard_that_never_answers_holds_up_no_acknowledgement(self) -> None:
        """The update counts, its bytes stay with their upload, and the shard asks the store for what it missed."""
        hung = HeldExecutor()
        gateway = world(start_lane=lambda: hung)
        upload = Upload(JOB, 0, CLIENT, memoryview(body(1)), {})
        assert gateway.ingest.put(upload).created
        assert [send.done() for send in upload.sends] == [False]
        assert gateway.backends.shards.slices == {}
        record = gateway.rounds.openings.read_open(JOB, 0)
        statistics, _ = gateway.statistics.compute(JOB, record)
        assert statistics is not None
        assert statistics.members == ("c",)
        hung.run_all()
        assert [send.done() for send in upload.sends] == [True]

    @pytest.mark.parametrize("forget", [lambda world: world.erase("c"), lambda world: world.jobs.delete(NAME)])
    def test_what_is_on_its_way_arrives_before_it_is_to_be_forgotten(self, forget: Callable[[World], object]) -> None:
        with ThreadPoolExecutor(1) as lane:
            gateway, sent = world(start_lane=lambda: lane), Event()
            lane.submit(sent.wait, 60.0)
            gateway.put(0, "c", 1)
            waited: list[float] = []
            settle = gateway.backends.outbox.settle

            def settle_at_last(job: JobId, patience_s: float) -> None:
                waited.append(patience_s)
                assert (gateway.backends.shards.slices, gateway.backends.caches.forgotten) == ({}, [])
                sent.set()
                settle(job, patience_s)
                assert (0, 0, CLIENT) in gateway.backends.shards.slices

            gateway.backends.outbox.settle = settle_at_last  # type: ignore[method-assign]
            forget(gateway)
            assert waited == [FORGET_AFTER_S]
            assert len(gateway.backends.caches.forgotten) == 1

    def test_a_controller_in_trouble_hinders_no_upload(self, caplog: pytest.LogCaptureFixture) -> None:
        gateway = world()
        gateway.backends.placement.trouble = Unavailable("no controller")
        assert gateway.put(0, "c", 1).created
        assert [record.message for record in caplog.records] == ["slices not sent"]

    def test_a_slice_is_cut_out_without_copying(self) -> None:
        content = memoryview(body(1))
        file = Canonical(content, parse(content))
        pieces = [pack(file, JOB.schema, SliceRef(NAME, JOB.schema.digest, 4, index)) for index in range(4)]
        assert b"".join(piece for part in pieces for piece in part) == content[len(file.head) :]
        assert all(piece.obj is content.obj for part in pieces for piece in part)
