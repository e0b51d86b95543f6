"""A tracker that follows a training while it is recorded."""

import threading
from typing import Any

import pytest

from flstore_core.client import FLStore
from flstore_core.integrations.recorder import Limits
from tests.integrations.door import Door
from tests.integrations.models import model
from tests.waiting import eventually


class Notes:
    """Notes which rounds were committed when it was told of them, and whether the training had ended."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int | None, bool]] = []
        self.fails = False
        self.goes_on = threading.Event()
        self.goes_on.set()

    def track(self, store: FLStore, job: str, *, ended: bool) -> None:
        self.goes_on.wait()
        if self.fails:
            raise OSError("no way to the tracker")
        self.told.append((job, store.job(job).latest, ended))


def train(recording: Any, number: int) -> None:
    recording.update(number, "c0", model(number))
    recording.close(number, model(number))


def test_a_tracker_is_told_of_each_round_and_of_the_end(behind: Door) -> None:
    notes = Notes()
    recording = behind.recorder(tracker=notes)
    recording.begin(model(0.0))
    for number in (1, 2):
        train(recording, number)
        eventually(lambda number=number: len(notes.told) == number)  # type: ignore[misc]
    assert recording.finish().is_whole
    assert notes.told == [("j", 1, False), ("j", 2, False), ("j", 2, True)]


def test_a_slow_tracker_holds_no_round_up_and_is_told_of_several_together(behind: Door) -> None:
    notes = Notes()
    notes.goes_on.clear()
    recording = behind.recorder(tracker=notes)
    recording.begin(model(0.0))
    for number in (1, 2, 3):
        train(recording, number)
    eventually(lambda: recording.report.rounds == 3)
    assert notes.told == []
    notes.goes_on.set()
    recording.finish()
    assert notes.told[-1] == ("j", 3, True)
    assert len(notes.told) <= 3


def test_a_tracker_that_fails_is_told_again_and_the_training_goes_on(
    behind: Door, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    notes.fails = True
    recording = behind.recorder(tracker=notes)
    recording.begin(model(0.0))
    train(recording, 1)
    eventually(lambda: "the training is not tracked now, and goes on: no way to the tracker" in caplog.messages)
    notes.fails = False
    train(recording, 2)
    assert recording.finish().is_whole
    assert notes.told[-1] == ("j", 2, True)


def test_what_a_tracker_did_not_take_is_told_at_the_end(behind: Door) -> None:
    notes = Notes()
    notes.fails = True
    recording = behind.recorder(tracker=notes)
    recording.begin(model(0.0))
    train(recording, 1)
    report = recording.finish()
    assert not report.is_whole
    assert report.line().endswith("in job 'j'; not tracked: no way to the tracker")


def test_a_tracker_that_hangs_keeps_no_training_from_ending(behind: Door) -> None:
    notes = Notes()
    notes.goes_on.clear()
    recording = behind.recorder(tracker=notes, limits=Limits(deadline_s=60.0, linger_s=0.2))
    recording.begin(model(0.0))
    assert recording.finish().untracked == "it took too long"
    notes.goes_on.set()


def test_a_tracker_hears_nothing_of_a_training_that_is_not_recorded(behind: Door) -> None:
    behind.shut(401, "unauthorized")
    notes = Notes()
    recording = behind.recorder(tracker=notes)
    recording.begin(model(0.0))
    train(recording, 1)
    assert recording.finish().untracked == ""
    assert notes.told == []
