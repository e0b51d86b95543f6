"""A training that is recorded while it runs, over a real gateway."""

import threading
from typing import Any

import numpy as np
import pytest

from flstore_core.client.tensors import schema_of
from flstore_core.errors import InvalidParameters, NotFound, Unavailable
from flstore_core.integrations.recorder import Limits, Recorder, Report
from flstore_core.integrations.recorder.clerk import Clerk
from flstore_core.integrations.recorder.desk import Desk
from flstore_core.integrations.recorder.journal import Beginning
from flstore_core.integrations.recorder.shelf import Held
from flstore_core.retry import Retry
from tests.integrations.door import Door
from tests.integrations.models import model, towards
from tests.waiting import eventually

HASTY = Limits(deadline_s=0.05, linger_s=60.0)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a store that was away asked again soon."""
    monkeypatch.setitem(Clerk.__init__.__kwdefaults__ or {}, "pauses", Retry((0.01,)))


def train(recording: Recorder, number: int, clients: int = 5, attackers: int = 0) -> None:
    """Have a round trained: the attackers send the opposite of what they learned."""
    for client in range(clients):
        sign = -1.0 if client < attackers else 1.0
        recording.update(number, f"c{client}", towards(number, client, sign), {"loss": 0.5}, weight=10 + client)
    recording.advise(number)
    recording.close(number, model(number), {"accuracy": 0.9}, {"lr": 0.1})


def test_rounds_are_stored_as_they_were_trained(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    train(recording, 1)
    train(recording, 2)
    report = recording.finish()
    assert report.is_whole
    assert (report.job, report.rounds, report.updates) == ("j", 2, 10)
    store = behind.store
    assert [(info.round, info.committed, info.clients) for info in store.rounds("j")] == [
        (0, True, 0), (1, True, 5), (2, True, 5)
    ]  # fmt: skip
    second = store.round("j", 2)
    assert second.base == 1
    assert second.metrics["accuracy"] == 0.9
    assert second.hyperparameters["lr"] == 0.1
    assert second.by_client["c3"].metrics == {"loss": 0.5, "num_examples": 13}  # type: ignore[index]
    assert np.array_equal(store.get_update("j", 2, "c3")["w"], towards(2, 3)["w"])
    assert np.array_equal(store.get_aggregate("j", 1)["w"], model(1)["w"])
    assert np.array_equal(store.get_aggregate("j", 0)["w"], model(0)["w"])


def test_the_first_differences_are_taken_against_the_initial_model(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(5.0))
    recording.update(1, "c0", model(6.0))
    recording.close(1, model(6.0))
    recording.finish()
    assert behind.store.run("j", "cosine-similarity", round=1).result.norms == [pytest.approx(8.0)]  # 64 times 1


def test_a_clients_weight_is_sent_under_the_name_that_the_job_has_for_it(behind: Door) -> None:
    recording = behind.recorder(weight_key="samples")
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0), {"num_examples": 3}, weight=10)
    recording.update(1, "c1", model(2.0), {"samples": 5}, weight=20)
    recording.update(1, "c2", model(3.0), {"samples": 7})
    recording.close(1, model(1.0))
    assert recording.finish().is_whole
    members = behind.store.round("j", 1).members
    assert [member.metrics for member in members] == [
        {"num_examples": 3, "samples": 10}, {"reported_samples": 5, "samples": 20}, {"samples": 7}
    ]  # fmt: skip
    assert [member.weight for member in members] == [10.0, 20.0, 7.0]


def test_a_training_that_goes_on_sends_weights_as_its_job_calls_them(behind: Door) -> None:
    first = behind.recorder(weight_key="samples")
    first.begin(model(0.0))
    train(first, 1)
    first.finish()
    resumed = behind.recorder(resume=True)
    resumed.begin(model(1.0))
    train(resumed, 1)
    resumed.finish()
    assert behind.store.round("j", 2).members[3].metrics == {"loss": 0.5, "samples": 13}


def test_a_training_of_which_no_initial_model_is_known_is_recorded_all_the_same(behind: Door) -> None:
    recording = behind.recorder()
    recording.update(1, "c0", model(6.0))
    recording.close(1, model(6.0))
    assert recording.finish().is_whole
    assert behind.store.round("j", 1).base is None


def test_updates_of_many_threads_are_all_stored(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    threads = [threading.Thread(target=recording.update, args=(1, f"c{n}", model(n))) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recording.close(1, model(1.0))
    assert recording.finish().updates == 100
    assert len(behind.store.round("j", 1).members) == 100


def test_arrays_get_the_dtypes_of_the_job_back_which_averaging_changed(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0))
    averaged = {"w": np.ones((4, 8)), "b": np.ones(32), "steps": np.array(6.9999999)}
    recording.close(1, averaged)
    assert recording.finish().is_whole
    aggregate = behind.store.get_aggregate("j", 1)
    assert aggregate["w"].dtype == np.float32
    assert aggregate["steps"].dtype == np.int64
    assert int(aggregate["steps"]) == 7


# Advice


def test_who_is_advised_against_is_left_out_and_the_round_says_so(behind: Door) -> None:
    recording = behind.recorder(advice="exclude")
    recording.begin(model(0.0))
    for client in range(10):
        recording.update(1, f"c{client}", towards(1, client, -5.0 if client < 3 else 1.0))
    advice = recording.advise(1)
    assert advice.excluded == {"c0", "c1", "c2"}
    assert advice.factor("c0") == 0.0
    assert advice.factor("c5") == 1.0
    recording.close(1, model(1.0))
    recording.finish()
    stored = behind.store.round("j", 1).metrics["advice"]
    assert stored["mode"] == "exclude"
    assert stored["applied"] == {"c0": 0.0, "c1": 0.0, "c2": 0.0}
    assert stored["advisers"] == ["malicious-filter"]
    assert set(stored["reasons"]) == {"c0", "c1", "c2"}
    assert stored["problem"] == ""
    told = behind.store.run("j", "provenance", round=1).result.generations[0]
    assert [row.client for row in told.advice.clients if row.applied == 0.0] == ["c0", "c1", "c2"]
    assert [row.weight for row in told.updates if row.client in ("c0", "c1", "c2")] == [0.0] * 3


def test_without_attackers_nobody_is_advised_against_in_twenty_rounds(behind: Door) -> None:
    recording = behind.recorder(advice="exclude")
    recording.begin(model(0.0))
    for number in range(1, 21):
        train(recording, number, clients=10)
    assert recording.finish().rounds == 20
    advice = [behind.store.round("j", number).metrics["advice"] for number in range(1, 21)]
    assert [each["advised"] for each in advice] == [{}] * 20
    assert [each["problem"] for each in advice] == [""] * 20


def test_advice_that_is_only_observed_is_stored_and_not_followed(behind: Door) -> None:
    recording = behind.recorder(advice="observe", advisers=[lambda store, job, round_: ["c1"]])
    recording.begin(model(0.0))
    train(recording, 1)
    recording.finish()
    stored = behind.store.round("j", 1).metrics["advice"]
    assert (stored["advised"], stored["applied"]) == ({"c1": 0.0}, {})


def test_factors_of_several_advisers_are_multiplied(behind: Door) -> None:
    def halve(store: object, job: str, round_: Any) -> dict[str, float]:
        return {str(member.client): 0.5 for member in round_.members}

    recording = behind.recorder(advice="weigh", advisers=[halve, lambda store, job, round_: {"c1": 0.5}])
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0))
    recording.update(1, "c1", model(2.0))
    assert recording.advise(1).factors == {"c0": 0.5, "c1": 0.25}


@pytest.mark.parametrize("adviser", ["reputation", "contribution"])
def test_other_workloads_weigh_clients_too(behind: Door, adviser: str) -> None:
    recording = behind.recorder(advice="weigh", advisers=[adviser])
    recording.begin(model(0.0))
    for number in (1, 2, 3):
        for client in range(10):
            recording.update(number, f"c{client}", towards(number, client, -1.0 if client < 2 else 1.0))
        advice = recording.advise(number)
        recording.close(number, model(0.0))
    assert advice.problem == ""
    assert {"c0", "c1"} <= advice.excluded
    assert all(0.0 < advice.factor(f"c{client}") <= 1.0 for client in range(3, 10))


@pytest.mark.parametrize(
    ("adviser", "why"),
    [
        (lambda store, job, round_: 1 / 0, "division by zero"),
        (lambda store, job, round_: {"c1": -1.0}, "the factor of 'c1' is -1.0"),
        (lambda store, job, round_: [member.client for member in round_.members], "nobody would be left"),
        ("no-such-workload", "no-such-workload"),
    ],
)
def test_bad_advice_leaves_everyone_in_and_the_round_says_so(behind: Door, adviser: Any, why: str) -> None:
    recording = behind.recorder(advice="exclude", advisers=[adviser])
    recording.begin(model(0.0))
    train(recording, 1)
    report = recording.finish()
    stored = behind.store.round("j", 1).metrics["advice"]
    assert stored["applied"] == {}
    assert why in stored["problem"]
    assert "without advice: 1 round" in report.line()


def test_late_advice_leaves_everyone_in(behind: Door) -> None:
    behind.held = lambda request: "/workloads/" in request.url.path
    recording = behind.recorder(limits=HASTY, advice="exclude")
    recording.begin(model(0.0))
    for client in range(5):
        recording.update(1, f"c{client}", towards(1, client))
    eventually(lambda: recording.report.updates == 5)
    assert recording.advise(1).problem == "malicious-filter: no answer in time"
    recording.close(1, model(1.0))
    behind.let_go.set()
    recording.finish()
    assert behind.store.round("j", 1).metrics["advice"]["applied"] == {}


def test_no_advice_is_asked_for_where_none_is_wanted(behind: Door) -> None:
    recording = behind.recorder(advice=None)
    recording.begin(model(0.0))
    train(recording, 1)
    recording.finish()
    assert "advice" not in behind.store.round("j", 1).metrics
    assert not [path for _, path in behind.seen if "workloads" in path]


def test_the_next_rounds_clients_are_chosen_by_a_workload(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    train(recording, 1)
    chosen = recording.choose(2, "schedule-performance", 2)
    assert chosen is not None
    assert len(set(chosen)) == 2
    assert recording.choose(2, "schedule-nonsense", 2) is None


# A store that is away


def test_what_came_while_the_store_was_down_at_the_start_is_recorded_afterwards(behind: Door) -> None:
    behind.shut()
    recording = behind.recorder(limits=HASTY, advice="exclude")
    recording.begin(model(0.0))
    train(recording, 1)
    behind.open()
    report = recording.finish()
    assert report.is_whole
    assert (report.rounds, report.updates) == (1, 5)
    assert behind.store.round("j", 1).metrics["advice"]["problem"]
    assert behind.store.round("j", 1).base == 0


def test_what_came_while_the_store_was_away_in_the_middle_is_recorded_in_order(behind: Door) -> None:
    recording = behind.recorder(limits=HASTY)
    recording.begin(model(0.0))
    train(recording, 1)
    behind.shut(507, "store-full")
    train(recording, 2)
    train(recording, 3)
    behind.open()
    train(recording, 4)
    assert recording.finish().rounds == 4
    assert [behind.store.round("j", number).base for number in (1, 2, 3, 4)] == [0, 1, 2, 3]


def test_a_store_that_stays_away_is_told_of_in_one_line(behind: Door, caplog: pytest.LogCaptureFixture) -> None:
    behind.shut()
    recording = behind.recorder(limits=Limits(deadline_s=0.05, linger_s=0.05))
    recording.begin(model(0.0))
    train(recording, 1)
    eventually(lambda: bool(caplog.records))
    report = recording.finish()
    assert not report.is_whole
    assert "\n" not in report.line()
    assert "the door says store-unavailable" in report.line()
    assert [record.message for record in caplog.records if "goes on" in record.message] == [
        "FLStore takes nothing now, and the training goes on: the door says store-unavailable"
    ]


def test_a_store_that_does_not_answer_holds_nobody_up(behind: Door) -> None:
    behind.held = lambda request: True
    recording = behind.recorder(limits=Limits(deadline_s=0.05, linger_s=0.05))
    recording.begin(model(0.0))
    train(recording, 1)
    assert not recording.finish().is_whole


def test_models_wait_on_disk_where_memory_is_small(behind: Door, tmp_path: Any) -> None:
    behind.shut()
    limits = Limits(deadline_s=0.05, linger_s=60.0, memory_bytes=1000, spool=tmp_path)
    recording = behind.recorder(limits=limits)
    recording.begin(model(0.0))
    train(recording, 1)
    assert list(tmp_path.rglob("*.safetensors"))
    behind.open()
    assert recording.finish().is_whole
    assert np.array_equal(behind.store.get_update("j", 1, "c4")["w"], towards(1, 4)["w"])
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_room_is_not_recorded_and_told_of(behind: Door) -> None:
    behind.shut()
    recording = behind.recorder(limits=Limits(deadline_s=0.05, linger_s=60.0, memory_bytes=1500, spool_bytes=0))
    recording.begin(model(0.0))
    train(recording, 1)
    behind.open()
    report = recording.finish()
    assert (report.rounds, report.updates) == (1, 2)
    assert "the update of 'c2' in round 1 and 3 more (there was no room for it while it waited)" in report.line()


def test_updates_wait_for_room_within_the_deadline(behind: Door) -> None:
    recording = behind.recorder(limits=Limits(deadline_s=60.0, linger_s=60.0, memory_bytes=600, spool_bytes=0))
    recording.begin(model(0.0))
    train(recording, 1)
    assert recording.finish().is_whole


@pytest.mark.parametrize("status", [401, 403])
def test_a_store_that_lets_nobody_in_ends_the_recording_and_not_the_training(behind: Door, status: int) -> None:
    behind.shut(status, "unauthorized" if status == 401 else "forbidden")
    recording = behind.recorder()
    recording.begin(model(0.0))
    train(recording, 1)
    train(recording, 2)
    report = recording.finish()
    assert report.rounds == 0
    assert "recording ended early: the door says" in report.line()


def test_a_training_that_needs_its_recording_does_not_begin_without_it(behind: Door) -> None:
    behind.shut()
    recording = behind.recorder(limits=HASTY, required=True)
    with pytest.raises(Unavailable, match="round 0 could not be recorded, and recording is required"):
        recording.begin(model(0.0))


def test_a_training_that_needs_its_recording_stops_with_a_word(behind: Door) -> None:
    recording = behind.recorder(required=True)
    recording.begin(model(0.0))
    train(recording, 1)
    assert behind.store.round("j", 1).committed
    behind.shut(401, "unauthorized")
    recording.update(2, "c0", model(1.0))
    with pytest.raises(Unavailable, match="round 2 could not be recorded, and recording is required: the door says"):
        recording.close(2, model(1.0))


def test_a_training_that_needs_its_recording_hears_of_bad_arguments(behind: Door) -> None:
    with pytest.raises(InvalidParameters, match="is no model"):
        behind.recorder(required=True).begin(3)  # type: ignore[arg-type]
    behind.recorder().begin(3)  # type: ignore[arg-type]
    assert "begin (" in behind.recordings[-1].report.line()


# Trouble with clients


def test_an_update_of_another_shape_is_left_out_and_told_of(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0))
    recording.update(1, "c1", {**model(1.0), "w": np.ones((2, 2), np.float32)})
    recording.update(1, "c2", {"w": object()})
    recording.close(1, model(1.0))
    report = recording.finish()
    assert (report.rounds, report.updates) == (1, 1)
    assert "the update of 'c1' in round 1 (tensor 'w' is F32 [2, 2]" in report.line()
    assert "the update of 'c2'" in report.line()


def test_metrics_that_are_no_numbers_are_left_out_and_told_of(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0), {"loss": float("nan"), "accuracy": np.float32(0.5)}, weight=3)
    recording.close(1, model(1.0))
    report = recording.finish()
    assert behind.store.round("j", 1).members[0].metrics == {"accuracy": 0.5, "num_examples": 3}
    assert "loss of 'c0' in round 1" in report.line()


def test_a_client_whose_update_the_store_does_not_take_is_advised_against(behind: Door) -> None:
    recording = behind.recorder(advice="exclude", advisers=[lambda store, job, round_: {}])
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0))
    recording.update(1, "c1", model(np.nan))
    advice = recording.advise(1)
    assert advice.excluded == {"c1"}
    assert "has a NaN" in advice.reasons["c1"][0]


def test_a_client_that_sends_twice_has_its_last_update_recorded(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0))
    recording.update(1, "c0", model(1.0))
    recording.update(1, "c0", model(2.0))
    recording.close(1, model(2.0))
    assert recording.finish().is_whole
    assert np.array_equal(behind.store.get_update("j", 1, "c0")["w"], model(2.0)["w"])


def test_a_late_update_is_not_recorded_and_told_of(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0))
    recording.close(1, model(1.0))
    recording.update(1, "c1", model(1.0))
    report = recording.finish()
    assert [member.client for member in behind.store.round("j", 1).members] == ["c0"]
    assert "the update of 'c1' in round 1 (it came after the round was closed)" in report.line()


def test_a_round_that_nobody_closed_is_closed_by_the_next_one(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0))
    recording.update(2, "c0", model(2.0))
    recording.close(2, model(2.0))
    assert recording.finish().rounds == 2
    assert behind.store.round("j", 2).base == 0


def test_an_aggregate_that_the_store_refuses_does_not_keep_its_round_open(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0))
    recording.close(1, {"other": np.ones(3)})
    report = recording.finish()
    assert report.rounds == 1
    assert "the aggregate of round 1" in report.line()


# Several trainings under one name


def test_a_second_training_of_the_same_name_gets_a_job_of_its_own(behind: Door) -> None:
    for expected in ("j", "j-2", "j-3"):
        recording = behind.recorder()
        recording.begin(model(0.0))
        train(recording, 1)
        assert recording.finish().job == expected


def test_a_training_whose_beginning_was_answered_by_nobody_keeps_its_job(behind: Door) -> None:
    step = Beginning(schema_of(model(0.0)), Held(model(0.0), 600))
    for _ in range(2):  # the second after the answer to its last call was lost
        desk = Desk(behind.store, "j", "a run", resume=False, settings={})
        desk.begin(step)
        assert desk.job == "j"
    assert [job.job for job in behind.store.jobs()] == ["j"]


def test_two_trainings_that_begin_at_once_do_not_mix(behind: Door) -> None:
    recordings = [behind.recorder(), behind.recorder()]
    for recording in recordings:
        recording.begin(model(0.0))
    for seed, recording in enumerate(recordings):
        recording.update(1, "c0", model(seed))
        recording.close(1, model(seed))
    jobs = [recording.finish().job for recording in recordings]
    assert sorted(jobs) == ["j", "j-2"]
    for seed, job in enumerate(jobs):
        assert np.array_equal(behind.store.get_update(job, 1, "c0")["w"], model(seed)["w"])


def test_a_training_that_was_killed_in_a_round_goes_on_where_it_was(behind: Door) -> None:
    killed = behind.recorder()
    killed.begin(model(0.0))
    train(killed, 1)
    killed.update(2, "c0", model(7.0))
    killed.update(2, "c9", model(7.0))
    killed.finish()
    assert behind.store.job("j").open == (2,)
    resumed = behind.recorder(resume=True)
    resumed.begin({**model(1.0), "steps": np.array(7.0)})  # the counters of averaged models are no integers
    train(resumed, 1)
    assert resumed.finish().is_whole
    assert [info.round for info in behind.store.rounds("j")] == [0, 1, 2]
    assert [str(member.client) for member in behind.store.round("j", 2).members] == ["c0", "c1", "c2", "c3", "c4"]
    assert np.array_equal(behind.store.get_update("j", 2, "c0")["w"], towards(1, 0)["w"])


def test_a_training_that_goes_on_from_another_model_records_that_model(behind: Door) -> None:
    first = behind.recorder()
    first.begin(model(0.0))
    train(first, 1)
    first.finish()
    resumed = behind.recorder(resume=True)
    resumed.begin(model(42.0))
    train(resumed, 1)
    resumed.finish()
    assert np.array_equal(behind.store.get_aggregate("j", 2)["w"], model(42.0)["w"])
    assert behind.store.round("j", 3).base == 2


def test_a_round_that_was_being_committed_when_the_server_was_killed_is_committed(behind: Door) -> None:
    killed = behind.recorder(limits=Limits(deadline_s=0.05, linger_s=0.05))
    killed.begin(model(0.0))
    behind.shut(applies=lambda request: request.url.path.endswith("/rounds/1/commit"))
    train(killed, 1)
    eventually(lambda: ("POST", "/v1/jobs/j/rounds/1/commit") in behind.seen)
    killed.finish()
    behind.open()
    resumed = behind.recorder(resume=True)
    resumed.begin(model(1.0))
    train(resumed, 1)
    resumed.finish()
    assert [info.clients for info in behind.store.rounds("j")] == [0, 5, 5]


def test_a_commit_that_a_killed_server_had_sent_may_come_while_its_training_is_resumed(behind: Door) -> None:
    killed = behind.recorder()
    killed.begin(model(0.0))
    killed.update(1, "c0", model(1.0))
    killed.aggregate(1, model(1.0))
    killed.finish()
    commits = iter([True])  # the first is the resumed training's own
    behind.held = lambda request: request.url.path.endswith("/rounds/1/commit") and next(commits, False)
    resumed = behind.recorder(resume=True)
    resumed.begin(model(1.0))
    eventually(lambda: ("POST", "/v1/jobs/j/rounds/1/commit") in behind.seen)
    behind.store.commit("j", 1, metrics={"accuracy": 0.9})
    behind.let_go.set()
    train(resumed, 1)
    assert resumed.finish().is_whole
    assert [info.clients for info in behind.store.rounds("j")] == [0, 1, 5]
    assert behind.store.round("j", 1).metrics == {"accuracy": 0.9}


def test_resuming_what_does_not_exist_begins_it(behind: Door) -> None:
    recording = behind.recorder(resume=True)
    recording.begin(model(0.0))
    train(recording, 1)
    assert recording.finish().job == "j"


def test_two_trainings_that_resume_one_job_do_not_mix(behind: Door) -> None:
    first = behind.recorder()
    first.begin(model(0.0))
    train(first, 1)
    first.update(2, "c0", model(3.0))
    other = behind.recorder(resume=True)
    eventually(lambda: behind.store.job("j").open == (2,) and bool(behind.store.round("j", 2).members))
    other.begin(model(1.0))
    other.update(1, "c1", model(4.0))
    other.close(1, model(4.0))
    assert other.finish().is_whole
    first.close(2, model(3.0))
    assert "another training records into the same job" in first.finish().line()
    assert [str(member.client) for member in behind.store.round("j", 2).members] == ["c1"]


def test_a_round_that_another_training_has_committed_ends_the_recording(behind: Door) -> None:
    first = behind.recorder()
    first.begin(model(0.0))
    train(first, 1)
    eventually(lambda: behind.store.job("j").latest == 1)
    other = behind.recorder(resume=True)
    other.begin(model(1.0))
    other.update(1, "c0", model(4.0))
    other.close(1, model(4.0))
    assert other.finish().is_whole
    first.update(2, "c0", model(5.0))
    first.close(2, model(5.0))
    assert "recording ended early: " in first.finish().line()
    assert np.array_equal(behind.store.get_update("j", 2, "c0")["w"], model(4.0)["w"])


def test_a_job_that_is_deleted_meanwhile_ends_the_recording(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(model(0.0))
    train(recording, 1)
    eventually(lambda: behind.store.job("j").latest == 1)
    behind.store.delete_job("j")
    train(recording, 2)
    report = recording.finish()
    assert "recording ended early" in report.line()
    with pytest.raises(NotFound):
        behind.store.job("j")


def test_a_job_with_too_long_a_name_is_refused_at_once(behind: Door) -> None:
    with pytest.raises(Exception, match="job"):
        behind.recorder(job="ä" * 60)
    with pytest.raises(InvalidParameters, match="deadline_s is -1"):
        Limits(deadline_s=-1)
    with pytest.raises(InvalidParameters, match="uploads is 0"):
        Limits(uploads=0)


def test_a_report_names_a_few_things_of_each_reason() -> None:
    report = Report(job="j", rounds=1)
    for number, why in enumerate(["away", "away", "full", "slow", "lost"]):
        report.miss(f"u{number}", why)
    assert report.line() == (
        "FLStore has 1 round with 0 updates (0 B) in job 'j'; not recorded: u0 and 1 more (away), u2 (full), "
        "u3 (slow), and 1 more for other reasons"
    )


def test_a_recording_ends_with_its_block(behind: Door) -> None:
    with behind.recorder() as recording:
        recording.begin(model(0.0))
        train(recording, 1)
    assert recording.report.rounds == 1
    assert recording.finish() is recording.report
