"""Events are written once, in the background, and never in anybody's way."""

import logging

import pytest

from services.common import tasks
from services.placement.kube.errors import ClusterError, NotPermitted, ObjectConflict, StandingErrors
from services.placement.kube.events import MESSAGE_CHARS, QUEUE_LENGTH, REPEAT_AFTER_S, EventRecorder, Severity
from services.placement.kube.resources import CONFIG_MAPS, EVENTS, Json
from tests.fakes.api import FakeApi
from tests.fakes.time import FakeTime, settle

SUBJECT = {**CONFIG_MAPS.head("subject", namespace="elsewhere"), "data": {}}


class Desk:
    """A recorder and what it has written."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.api = FakeApi(time=self.time)
        self.recorder = EventRecorder(self.api, "one", self.time)

    async def written(self) -> list[Json]:
        writing = tasks.begin(self.recorder.run(), "events")
        items: list[Json] = []
        count = -1
        while count != len(items):
            count = len(items)
            await settle()
            items, _ = await self.api.list(EVENTS)
        await tasks.end(writing)
        return sorted(items, key=lambda event: str(event["message"]))


async def test_an_event_names_its_object_its_reason_and_its_writer() -> None:
    desk = Desk()
    desk.recorder.emit(
        {**SUBJECT, "metadata": {"name": "subject", "uid": "u1"}}, "Found", "here it is", Severity.WARNING
    )
    (event,) = await desk.written()
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": "test",
        "name": "subject",
        "uid": "u1",
    }
    assert (event["reason"], event["message"], event["type"]) == ("Found", "here it is", "Warning")
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-09-21T14:30:00Z"
    assert (event["reportingComponent"], event["reportingInstance"]) == ("flstore-placement", "one")
    assert event["metadata"]["name"].startswith("subject.")


async def test_the_same_event_is_written_again_only_after_ten_minutes() -> None:
    desk = Desk()
    for message in ("first", "first", "second"):
        desk.recorder.emit(SUBJECT, "Found", message)
    assert [event["message"] for event in await desk.written()] == ["first", "second"]
    await desk.time.advance(REPEAT_AFTER_S - 1.0)
    desk.recorder.emit(SUBJECT, "Found", "first")
    assert len(await desk.written()) == 2
    await desk.time.advance(1.0)
    desk.recorder.emit(SUBJECT, "Found", "first")
    assert len(await desk.written()) == 3


async def test_a_long_message_is_cut_to_what_the_server_takes() -> None:
    desk = Desk()
    desk.recorder.emit(SUBJECT, "Found", "x" * 5000)
    (event,) = await desk.written()
    assert event["message"] == "x" * MESSAGE_CHARS + "…"
    assert len(event["message"].encode()) <= 1024


async def test_an_event_that_cannot_be_written_is_in_the_log_and_the_next_is_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    desk.api.refusals["create", "events"] = NotPermitted("may not create events")
    desk.recorder.emit(SUBJECT, "Found", "lost")
    assert await desk.written() == []
    assert "event not written: may not create events" in caplog.text
    desk.api.refusals.clear()
    desk.recorder.emit(SUBJECT, "Found", "kept")
    assert [event["message"] for event in await desk.written()] == ["kept"]


async def test_events_beyond_the_queue_are_dropped_with_a_word_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    for number in range(QUEUE_LENGTH + 1):
        desk.recorder.emit(SUBJECT, "Found", f"{number:03}")
    assert "event dropped: 256 are waiting already" in caplog.text
    assert [event["message"] for event in await desk.written()] == [f"{number:03}" for number in range(QUEUE_LENGTH)]


def test_a_standing_error_is_announced_once_a_kind_and_ends_with_a_success(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    announced: list[ClusterError] = []
    errors = StandingErrors(announced.append)
    assert not errors
    forbidden, conflict = NotPermitted("no"), ObjectConflict("changed")
    for error in (forbidden, NotPermitted("still no"), conflict, forbidden):
        errors.report("watching pods", error)
    assert announced == [forbidden, conflict, forbidden]
    errors.clear("watching pods")
    errors.clear("watching pods")
    assert not errors
    assert caplog.text.count("watching pods: works again") == 1


def test_a_summary_has_the_reason_of_the_oldest_error_and_all_messages() -> None:
    errors = StandingErrors(lambda _: None)
    errors.report("watching pods", NotPermitted("no pods"))
    errors.report("leader election", ObjectConflict("taken"))
    errors.report("watching pods", NotPermitted("still no pods"))
    assert errors.summarize() == ("Forbidden", "still no pods; taken")
