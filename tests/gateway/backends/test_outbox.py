"""The outbox: slices go out in the background, and a shard that hangs fills its own lane only."""

from collections.abc import Sequence
from concurrent.futures import Future
from threading import Event

import pytest

from flstore_core.errors import Unavailable
from flstore_core.ids import ClientId, JobId
from flstore_core.shard.protocol import MemberRef, SliceRef
from services.gateway.backends.calls import Calls
from services.gateway.backends.outbox import STALE_S, Outbox
from services.gateway.backends.shards import Shards
from services.gateway.threads import start_lane
from tests.fakes.clock import FakeTime
from tests.fakes.executors import HeldExecutor

A, B = "http://a", "http://b"
MIB = 2**20


class SlowShards(Shards):
    """Notes what is sent. Shard A answers when `answers` is set."""

    def __init__(self) -> None:
        super().__init__(Calls(1.0, FakeTime()))
        self.answers = Event()
        self.sent: list[tuple[str, JobId, ClientId]] = []

    def put_slice(
        self, urls: Sequence[str], part: SliceRef, member: MemberRef, base: MemberRef | None, body: list[memoryview]
    ) -> None:
        if A in urls:
            assert self.answers.wait(60.0)
        self.sent += [(url, part.job, member.client) for url in urls]


def send(outbox: Outbox, urls: Sequence[str], client: str, job: str = "job", slice_: int = 0) -> list[Future[None]]:
    part = SliceRef(JobId(job), "digest", 2, slice_)
    member = MemberRef(0, ClientId(client), "sha", 0, 1.0)
    return outbox.send(urls, part, member, None, [memoryview(b"1234")], 100 * MIB)


def test_a_hung_shard_stalls_no_other_and_no_other_job() -> None:
    """With real threads: A never answers while B is sent to."""
    shards = SlowShards()
    outbox = Outbox(shards, start_lane, FakeTime().monotonic, 1024 * MIB)
    hung = [future for index in range(8) for future in send(outbox, [A], f"c{index}")]
    for job in ("job", "other"):
        (sending,) = send(outbox, [B], "c", job)
        sending.result(60.0)
    assert shards.sent == [(B, "job", "c"), (B, "other", "c")]
    assert not any(future.done() for future in hung)
    assert outbox.due == len(hung)
    shards.answers.set()
    outbox.settle(JobId("job"), 60.0)
    assert all(future.done() for future in hung)
    outbox.close()


def test_the_example_of_the_module(caplog: pytest.LogCaptureFixture) -> None:
    lanes: list[HeldExecutor] = []
    shards, time = SlowShards(), FakeTime()
    shards.answers.set()

    def start() -> HeldExecutor:
        lanes.append(HeldExecutor())
        return lanes[-1]

    outbox = Outbox(shards, start, time.monotonic, 512 * MIB)
    waiting = [future for index in range(5) for future in send(outbox, [A], f"c{index}")]
    assert len(waiting) == 5
    (to_b,) = send(outbox, [A, B], "c5")
    lanes[1].run_all()
    assert (to_b.done(), shards.sent) == (True, [(B, "job", "c5")])
    time.clock.now += STALE_S + 1
    lanes[0].run_all()
    assert all(future.done() for future in waiting)
    assert shards.sent == [(B, "job", "c5")]
    reasons = [vars(record)["error"] for record in caplog.records]
    assert reasons == ["its lane is full", *["it waited too long"] * 5]
    (again,) = send(outbox, [A], "c6")
    lanes[0].run_all()
    assert (again.done(), shards.sent[-1]) == (True, (A, "job", "c6"))


def test_slices_of_one_upload_are_views_of_the_same_bytes() -> None:
    outbox = Outbox(SlowShards(), HeldExecutor, FakeTime().monotonic, 100 * MIB)
    assert len(send(outbox, [A], "c", slice_=0)) == len(send(outbox, [A], "c", slice_=1)) == 1
    assert send(outbox, [A], "another") == []


def test_one_upload_may_always_wait() -> None:
    outbox = Outbox(SlowShards(), HeldExecutor, FakeTime().monotonic, 1)
    assert len(send(outbox, [A], "c")) == 1


def test_a_shard_in_trouble_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Gone(SlowShards):
        def put_slice(self, *_: object) -> None:
            raise Unavailable("the shard is gone")

    outbox = Outbox(Gone(), start_lane, FakeTime().monotonic, MIB)
    (sending,) = send(outbox, [A], "c")
    sending.result(60.0)
    outbox.close()
    assert [(record.message, vars(record)["error"]) for record in caplog.records] == [
        ("slice not sent", "the shard is gone")
    ]
