"""Rounds that a training could not have recorded before it ended, and the one that takes them up."""

import fcntl
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flstore_core.integrations.recorder import Limits, Recorder, Report
from flstore_core.integrations.recorder.clerk import Clerk
from flstore_core.retry import Retry
from tests.integrations.door import Door
from tests.integrations.models import model, towards
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a store that was away asked again soon."""
    monkeypatch.setitem(Clerk.__init__.__kwdefaults__ or {}, "pauses", Retry((0.01,)))


def limits(spool: Path, **others: Any) -> Limits:
    """Return limits with a spool, and no patience with a store that is away."""
    return Limits(**{"deadline_s": 0.05, "linger_s": 0.05, "spool": spool, **others})


def train(recording: Recorder, *numbers: int) -> None:
    for number in numbers:
        for client in range(3):
            recording.update(number, f"c{client}", towards(number, client), {"loss": 1.0 / number}, weight=client + 1)
        recording.close(number, model(number), {"accuracy": number / 10}, {"lr": 0.1})


def leave(
    behind: Door, spool: Path, *, recorded: int = 1, closed: int = 3, bounds: Any = None, **settings: Any
) -> Report:
    """Train while the store is there, and then while it is away; return what the training says at its end."""
    recording = behind.recorder(advice=None, limits=limits(spool, **(bounds or {})), **settings)
    if not recorded:
        behind.shut()
    recording.begin(model(0.0))
    train(recording, *range(1, recorded + 1))
    eventually(lambda: recording.report.rounds == recorded)
    behind.shut()
    train(recording, *range(recorded + 1, closed + 1))
    report = recording.finish()
    end(behind)
    return report


def end(behind: Door) -> None:
    """Have nothing of an ended training come after it, as if its process had gone, and let requests in."""
    for thread in threading.enumerate():
        if thread.name.startswith("flstore-recorder"):
            thread.join()
    behind.open()


def resume(behind: Door, spool: Path, *, start: float) -> Report:
    """Have another training go on with the job for a round."""
    recording = behind.recorder(advice=None, resume=True, limits=Limits(deadline_s=60.0, linger_s=60.0, spool=spool))
    recording.begin(model(start))
    train(recording, 1)
    return recording.finish()


def committed(behind: Door, job: str = "j") -> list[tuple[int, int | None]]:
    return [(info.round, info.clients) for info in behind.store.rounds(job) if info.committed]


def folder_in(spool: Path) -> Path:
    (folder,) = spool.glob("left-*")
    return folder


def test_rounds_that_an_ended_training_could_not_record_are_recorded_by_the_next(behind: Door, tmp_path: Path) -> None:
    left = leave(behind, tmp_path)
    assert committed(behind) == [(0, 0), (1, 3)]
    assert not left.is_whole
    assert left.line().endswith(f"; 2 rounds left in {folder_in(tmp_path)}, for a training that resumes the job")
    report = resume(behind, tmp_path, start=3.0)
    assert report.is_whole
    assert "taken up of an earlier training: 2 rounds" in report.line()
    assert committed(behind) == [(number, 3 if number else 0) for number in range(5)]
    store = behind.store
    assert [store.round("j", number).base for number in range(1, 5)] == [0, 1, 2, 3]
    third = store.round("j", 3)
    assert third.metrics["accuracy"] == 0.3
    assert third.hyperparameters["lr"] == 0.1
    assert third.by_client["c1"].metrics == {"loss": 1.0 / 3, "num_examples": 2}  # type: ignore[index]
    assert np.array_equal(store.get_update("j", 3, "c1")["w"], towards(3, 1)["w"])
    assert np.array_equal(store.get_aggregate("j", 2)["w"], model(2)["w"])
    assert third.hyperparameters["run"] == store.round("j", 1).hyperparameters["run"]
    assert list(tmp_path.iterdir()) == []


def test_a_training_of_which_the_store_never_heard_is_recorded_by_the_next(behind: Door, tmp_path: Path) -> None:
    leave(behind, tmp_path, recorded=0, closed=2, bounds={"memory_bytes": 600})  # most of it waits on disk
    assert resume(behind, tmp_path, start=2.0).taken_up == 2
    assert committed(behind) == [(0, 0), (1, 3), (2, 3), (3, 3)]
    assert np.array_equal(behind.store.get_aggregate("j", 0)["w"], model(0.0)["w"])


def test_the_settings_of_a_job_that_does_not_exist_yet_are_left_too(behind: Door, tmp_path: Path) -> None:
    leave(behind, tmp_path, recorded=0, closed=1, weight_key="samples", slices=np.int64(2))
    assert resume(behind, tmp_path, start=1.0).is_whole
    assert (behind.store.job("j").weight_key, behind.store.job("j").slices) == ("samples", 2)
    assert behind.store.round("j", 1).by_client["c1"].metrics["samples"] == 2  # type: ignore[index]


def test_a_training_that_goes_on_from_an_earlier_model_records_that_model_after_what_was_left(
    behind: Door, tmp_path: Path
) -> None:
    leave(behind, tmp_path)
    resume(behind, tmp_path, start=1.0)
    assert committed(behind) == [(0, 0), (1, 3), (2, 3), (3, 3), (4, 0), (5, 3)]
    assert np.array_equal(behind.store.get_aggregate("j", 4)["w"], model(1.0)["w"])
    assert behind.store.round("j", 5).base == 4


def test_a_round_that_was_open_is_not_left(behind: Door, tmp_path: Path) -> None:
    recording = behind.recorder(advice=None, limits=limits(tmp_path))
    recording.begin(model(0.0))
    train(recording, 1)
    eventually(lambda: recording.report.rounds == 1)
    behind.shut()
    recording.update(2, "c0", towards(2, 0))
    assert "the update of 'c0' in round 2" in recording.finish().line()
    assert not list(tmp_path.glob("left-*"))


def test_a_round_that_was_half_recorded_is_completed(behind: Door, tmp_path: Path) -> None:
    recording = behind.recorder(advice=None, limits=limits(tmp_path))
    recording.begin(model(0.0))
    recording.update(1, "c0", towards(1, 0))
    eventually(lambda: recording.report.updates == 1)
    behind.shut()
    recording.update(1, "c1", towards(1, 1))
    recording.close(1, model(1))
    recording.finish()
    end(behind)
    assert resume(behind, tmp_path, start=1.0).taken_up == 1
    assert committed(behind) == [(0, 0), (1, 2), (2, 3)]


def test_a_round_that_was_recorded_after_all_is_not_recorded_twice(behind: Door, tmp_path: Path) -> None:
    leave(behind, tmp_path, closed=2)
    page = (folder_in(tmp_path) / "2.json").read_bytes()
    saved = {file.name: file.read_bytes() for file in folder_in(tmp_path).iterdir()}
    resume(behind, tmp_path, start=2.0)
    again = tmp_path / "left-again"
    again.mkdir()
    for name, content in saved.items():
        (again / name).write_bytes(content)
    assert (again / "2.json").read_bytes() == page
    assert resume(behind, tmp_path, start=1.0).is_whole
    assert not again.exists()
    assert committed(behind) == [(0, 0), (1, 3), (2, 3), (3, 3), (4, 3)]


@pytest.mark.parametrize("trouble", ["flipped", "missing", "elsewhere", "no JSON", "no object", "no field"])
def test_a_damaged_round_and_those_after_it_stay_and_are_named(
    behind: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    leave(behind, tmp_path, closed=4)
    folder = folder_in(tmp_path)
    page, file = folder / "3.json", folder / "3-0.safetensors"
    facts = json.loads(page.read_text())
    match trouble:
        case "flipped":
            file.write_bytes(file.read_bytes()[:-1] + b"!")
        case "missing":
            file.unlink()
        case "elsewhere":
            facts["updates"][0]["file"] = "../../etc/passwd"
            page.write_text(json.dumps(facts))
        case "no JSON":
            page.write_text("{")
        case "no object":
            page.write_text("[]")
        case "no field":
            page.write_text("{}")
    report = resume(behind, tmp_path, start=2.0)
    assert report.is_whole
    assert report.taken_up == 1
    assert committed(behind) == [(0, 0), (1, 3), (2, 3), (3, 3)]
    assert np.array_equal(behind.store.get_update("j", 3, "c0")["w"], towards(1, 0)["w"])
    (told,) = [message for message in caplog.messages if "stays in" in message]
    assert str(folder) in told
    assert {"3.json", "4.json"} <= {file.name for file in folder.iterdir()}


def test_rounds_stay_where_another_training_has_recorded_since(
    behind: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave(behind, tmp_path)
    resume(behind, tmp_path / "another", start=1.0)
    assert resume(behind, tmp_path, start=1.0).taken_up == 0
    assert "round 2 of job 'j' cannot follow round 2, which another training recorded" in caplog.text
    assert committed(behind) == [(0, 0), (1, 3), (2, 3), (3, 3)]
    assert np.array_equal(behind.store.get_update("j", 3, "c0")["w"], towards(1, 0)["w"])


def test_rounds_stay_where_their_job_was_deleted_and_made_anew(
    behind: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave(behind, tmp_path)
    behind.store.delete_job("j")
    behind.gateway.time.sleep(1.0)
    resume(behind, tmp_path / "another", start=0.0)
    assert resume(behind, tmp_path, start=1.0).taken_up == 0
    assert "job 'j' was deleted and made anew" in caplog.text


def test_one_process_at_a_time_takes_a_folder_up(
    behind: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave(behind, tmp_path)
    with (folder_in(tmp_path) / "lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert resume(behind, tmp_path, start=1.0).taken_up == 0
    assert "another process takes it up now" in caplog.text


def test_a_store_that_goes_away_while_rounds_are_taken_up_gets_the_rest_later(behind: Door, tmp_path: Path) -> None:
    leave(behind, tmp_path)
    behind.shut(applies=lambda request: request.url.path.endswith("/rounds/3/commit"))
    recording = behind.recorder(advice=None, resume=True, limits=limits(tmp_path, linger_s=60.0))
    recording.begin(model(3.0))
    eventually(lambda: ("POST", "/v1/jobs/j/rounds/3/commit") in behind.seen)
    behind.open()
    report = recording.finish()
    assert report.is_whole
    assert committed(behind) == [(0, 0), (1, 3), (2, 3), (3, 3)]
    assert list(tmp_path.iterdir()) == []


def test_rounds_of_other_jobs_are_left_alone(behind: Door, tmp_path: Path) -> None:
    leave(behind, tmp_path)
    other = behind.recorder("other", advice=None, resume=True, limits=Limits(linger_s=60.0, spool=tmp_path))
    other.begin(model(0.0))
    assert other.finish().taken_up == 0
    assert folder_in(tmp_path).exists()


def test_what_is_left_has_a_bound_and_the_rest_is_told_of(behind: Door, tmp_path: Path) -> None:
    report = leave(behind, tmp_path, closed=4, bounds={"spool_bytes": 2500})
    assert ("round 3", "the door says store-unavailable") in report.problems
    assert "1 round left in" in report.line()
    assert {"2.json", "3.json", "4.json"} & {file.name for file in folder_in(tmp_path).iterdir()} == {"2.json"}


def test_a_spool_that_cannot_be_written_keeps_no_training_from_ending(
    behind: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    report = leave(behind, tmp_path / "file")
    assert report.left == ""
    assert "round 2 cannot be left in" in caplog.text
    assert ("round 2", "the door says store-unavailable") in report.problems


def test_without_a_named_spool_nothing_is_left(behind: Door) -> None:
    assert leave(behind, None).left == ""  # type: ignore[arg-type]


def test_an_update_that_the_store_refuses_for_good_does_not_keep_its_round_back(
    behind: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = behind.recorder(advice=None, limits=limits(tmp_path))
    recording.begin(model(0.0))
    train(recording, 1)
    eventually(lambda: recording.report.rounds == 1)
    behind.shut()
    recording.update(2, "bad", model(np.nan))
    train(recording, 2)
    recording.finish()
    end(behind)
    assert resume(behind, tmp_path, start=2.0).taken_up == 1
    assert "the update of 'bad' in round 2" in caplog.text
    assert committed(behind) == [(0, 0), (1, 3), (2, 3), (3, 3)]
