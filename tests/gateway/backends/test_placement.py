"""The placement table as a gateway follows it, and what it asks of the controller."""

import json
from typing import Any

import pytest
from urllib3.exceptions import NewConnectionError

from flstore_core import layout
from flstore_core.errors import FLStoreError, InsufficientCapacity, StoreUnavailable, Unavailable
from flstore_core.ids import JobId, ShardId
from flstore_core.placement.base import Assignment, Shard, Table
from flstore_core.retry import Retry
from services.gateway.backends.placement import Placement
from tests.fakes.store import Call, MemoryStore
from tests.fakes.wire import FakeWire, Reply, Sent

JOB = JobId("job")


def table(version: int, *jobs: str, predictors: int = 0) -> Table:
    """Return a table by which every job has two slices, on shards 0 and 1, and 1 and 0."""
    shards = {ShardId(f"shard-{i}"): Shard(ShardId(f"shard-{i}"), 1000, f"http://shard-{i}") for i in (0, 1)}
    owners = ((ShardId("shard-0"), ShardId("shard-1")), (ShardId("shard-1"), ShardId("shard-0")))
    return Table(
        version,
        shards,
        {JobId(job): Assignment(owners, 2) for job in jobs},
        {ShardId(f"predictor-{i}"): f"http://predictor-{i}" for i in range(predictors)},
    )


class Controller:
    """Answers with what it has been given by method and path, ends of paths cut off at the question mark."""

    def __init__(self, **replies: Reply) -> None:
        self.replies = dict(replies)

    def __call__(self, sent: Sent) -> Reply:
        key = f"{sent.method} {sent.path.partition('?')[0]}"
        if key not in self.replies:
            raise NewConnectionError(None, "connection refused")  # type: ignore[arg-type]
        return self.replies[key]


def following(replies: dict[str, Any], store: MemoryStore | None = None) -> tuple[Placement, FakeWire, Controller]:
    controller = Controller()
    controller.replies = {key: value if isinstance(value, Reply) else Reply.of(value) for key, value in replies.items()}
    wire = FakeWire(controller)
    retry = Retry((0.05, 0.2), attempts=3, clock=lambda: 0.0, sleep=lambda _: None)
    return Placement("http://placement", store or MemoryStore(), wire, retry=retry), wire, controller


def test_a_new_job_is_placed_once_and_then_found_in_the_table() -> None:
    placement, wire, _ = following({"POST /v1/placement/jobs/job": table(8, "job").to_json()})
    assignment = placement.find_or_place(JOB)
    assert assignment == table(8, "job").jobs[JOB]
    assert placement.find_or_place(JOB) == assignment
    assert len(wire.sent) == 1
    assert placement.addresses(assignment, 0) == ["http://shard-0", "http://shard-1"]
    assert placement.addresses(assignment, 1) == ["http://shard-1", "http://shard-0"]


def test_a_shard_without_an_address_is_left_out() -> None:
    placement, _, _ = following({"POST /v1/placement/jobs/job": table(8, "job").to_json()})
    placement.place(JOB)
    lost = Assignment(((ShardId("shard-9"), ShardId("shard-1")),), 2)
    assert placement.addresses(lost, 0) == ["http://shard-1"]


def test_a_table_of_a_lower_version_is_ignored() -> None:
    placement, _, controller = following({"GET /v1/placement": table(8, "job").to_json()})
    placement.wait_for_news()
    controller.replies["GET /v1/placement"] = Reply.of(table(7).to_json())
    placement.wait_for_news()
    assert placement.table == table(8, "job")
    controller.replies["GET /v1/placement"] = Reply.of(table(9).to_json())
    placement.wait_for_news()
    assert placement.table == table(9)


def test_news_is_asked_for_after_the_version_that_is_known() -> None:
    placement, wire, controller = following({"GET /v1/placement": table(8).to_json()})
    placement.wait_for_news()
    controller.replies["GET /v1/placement"] = Reply(status=304)
    placement.wait_for_news()
    assert [sent.path for sent in wire.sent] == ["/v1/placement?after=0&wait=20", "/v1/placement?after=8&wait=20"]
    assert placement.table.version == 8


def test_the_store_s_copy_serves_while_the_controller_is_away() -> None:
    store = MemoryStore()
    store.put(layout.TABLE, json.dumps(table(5, "job").to_json()).encode())
    placement, _, _ = following({}, store)
    placement.load()
    assert placement.table == table(5, "job")
    assert placement.find_or_place(JOB).slices == 2
    with pytest.raises(Unavailable, match="http://placement does not answer"):
        placement.find_or_place(JobId("another"))


def test_without_a_copy_a_start_is_no_failure() -> None:
    store = MemoryStore()
    placement, _, _ = following({}, store)
    placement.load()

    def fail(call: Call) -> None:
        raise StoreUnavailable("away")

    store.before = fail
    placement.load()
    assert placement.table.version == 0


def test_a_refusal_of_the_controller_keeps_its_numbers() -> None:
    refusal = InsufficientCapacity("too large", update_bytes=10)
    placement, _, _ = following({"POST /v1/placement/jobs/job": Reply.problem(refusal)})
    with pytest.raises(InsufficientCapacity, match="too large") as caught:
        placement.find_or_place(JOB)
    assert caught.value.extensions == {"update_bytes": 10}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply.of(table(8).to_json()), "no place for job 'job' yet"),
        (Reply(b"<html>"), "the server answered 200 <html>"),
        (Reply(b""), "does not answer: the server answered 200"),
        (Reply(b'{"version": 9}'), "does not answer: the server answered 200"),
        (Reply(b"", 404), "the server answered 404"),
        (Reply(b"", 301, {"Location": "https://elsewhere/"}), "the server answered 301 -> https://elsewhere/"),
        (Reply.problem(FLStoreError("a defect")), "does not answer: a defect"),
        (Reply(b"", 503), "the server answered 503"),
        (Reply(b"", 502), "the server answered 502"),
    ],
)
def test_an_unusable_answer_of_the_controller_is_unavailability(reply: Reply, message: str) -> None:
    placement, _, _ = following({"POST /v1/placement/jobs/job": reply})
    with pytest.raises(Unavailable, match=message):
        placement.place(JOB)


def test_a_change_is_asked_for_again_until_the_controller_is_back() -> None:
    def answer(sent: Sent) -> Reply:
        replies = [Reply(b"<html>", 502), Reply(status=404), Reply.of(table(8, "job").to_json())]
        return replies[len(wire.sent) - 1]

    wire = FakeWire(answer)
    retry = Retry((0.05,), attempts=3, clock=lambda: 0.0, sleep=lambda _: None)
    placement = Placement("http://placement", MemoryStore(), wire, retry=retry)
    assert placement.place(JOB) == table(8, "job").jobs[JOB]
    assert len(wire.sent) == 3


def test_rows_of_backends_that_lack_what_every_row_says_are_no_answer() -> None:
    placement, _, _ = following({"GET /v1/shards": {"message": "no route"}})
    with pytest.raises(Unavailable, match="no route"):
        placement.fetch_backends()


def test_awake_backends_are_all_but_those_at_zero() -> None:
    rows = [
        {"shard": "shard-0", "state": "zero", "url": "http://shard-0"},
        {"shard": "shard-1", "state": "awake", "url": "http://shard-1"},
        {"shard": "predictor-0", "state": "waking", "url": "http://predictor-0"},
    ]
    placement, _, controller = following({"GET /v1/shards": rows, "GET /v1/placement": table(3).to_json()})
    assert placement.fetch_awake() == {"shard-1": "http://shard-1", "predictor-0": "http://predictor-0"}
    placement.wait_for_news()
    del controller.replies["GET /v1/shards"]
    assert placement.fetch_awake() == {"shard-0": "http://shard-0", "shard-1": "http://shard-1"}


def test_every_job_prefers_a_predictor_and_always_the_same() -> None:
    placement, _, _ = following({"GET /v1/placement": table(3, predictors=4).to_json()})
    placement.wait_for_news()
    orders = {job: [*placement.rank_predictors(JobId(f"job-{job}")).items()] for job in range(40)}
    assert all(
        sorted(order) == [(f"predictor-{i}", f"http://predictor-{i}") for i in range(4)] for order in orders.values()
    )
    assert len({order[0] for order in orders.values()}) == 4
    assert orders[7] == [*placement.rank_predictors(JobId("job-7")).items()]


def test_the_controller_hears_of_deleted_jobs() -> None:
    placement, wire, _ = following({"DELETE /v1/placement/jobs/job": Reply(b"", 204)})
    placement.forget(JOB)
    assert [(sent.method, sent.url) for sent in wire.sent] == [("DELETE", "http://placement/v1/placement/jobs/job")]
    placement.close()
    assert wire.closed
