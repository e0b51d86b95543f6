"""Scenarios and events: read, cut, resized, refused with the place."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from flstore_core.patterns import Pattern
from flstore_core.simulator import TraceError
from loadgen.run.events import Commit, Event, Request, Update, parse_event, parse_lines, read_events
from loadgen.run.scenario import FOLDER, Scenario, cut, load_scenario, parse_scenario, resized, scenario_names
from loadgen.traces.generator import TraceSettings

SMALL = TraceSettings(clients=6, per_round=2, rounds=3, requests=9, hours=0.1, seed=5)
EVENTS: list[Event] = [
    Update(0.0, "j", 0, "a", 400),
    Commit(5.0, "j", 0, 400),
    Request(7.0, "j", "audit", Pattern.P2, ((0, "a"),)),
]
LINES: list[dict[str, Any]] = [
    {"t": 0.0, "event": "update", "job": "j", "round": 0, "client": "a", "bytes": 400},
    {"t": 5.0, "event": "commit", "job": "j", "round": 0, "aggregate_bytes": 400},
    {
        "t": 7,
        "event": "request",
        "job": "j",
        "workload": "audit",
        "pattern": "P2",
        "keys": [{"round": 0, "client": "a"}],
    },
]


def test_lines_become_events() -> None:
    assert list(parse_lines(map(json.dumps, LINES))) == EVENTS


def test_a_file_is_read_one_event_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(LINES[0]) + "\nno event\n")
    events = read_events(path)
    assert next(events) == EVENTS[0]
    with pytest.raises(TraceError, match="line 2 is no event of a trace"):
        next(events)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"absent\.jsonl' cannot be read"):
        list(read_events(tmp_path / "absent.jsonl"))


@pytest.mark.parametrize(
    "change",
    [
        {"event": "delete"},
        {"t": "now"},
        {"round": None},
        {"bytes": "many"},
        {"event": "request"},
        {"event": "request", "workload": "w", "pattern": "P9", "keys": []},
    ],
)
def test_an_event_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, InvalidParameters)):
        parse_event({**LINES[0], **change})


@given(st.floats(-1.0, 10.0))
def test_a_cut_keeps_the_events_of_the_first_seconds(seconds: float) -> None:
    assert list(cut(iter(EVENTS), seconds)) == [event for event in EVENTS if event.t <= seconds]


def test_only_models_are_resized() -> None:
    update, commit, request = resized(iter(EVENTS), 4000)
    assert isinstance(update, Update)
    assert isinstance(commit, Commit)
    assert (update.nbytes, commit.nbytes, request) == (4000, 4000, EVENTS[2])


def test_several_jobs_have_traces_of_their_own_mixed_by_time() -> None:
    events = list(Scenario("mine", "about", SMALL, jobs=3).events())
    assert [event.t for event in events] == sorted(event.t for event in events)
    by_job = {name: [event for event in events if event.job == name] for name in ("job-000", "job-001", "job-002")}
    assert sum(map(len, by_job.values())) == len(events) == 3 * (3 * 3 + 9)
    times = [[event.t for event in mine] for mine in by_job.values()]
    assert times[0] != times[1] != times[2]


def test_one_job_keeps_its_name_and_a_seed_can_be_chosen() -> None:
    scenario = Scenario("mine", "about", SMALL)
    assert {event.job for event in scenario.events()} == {"job"}
    assert list(scenario.events(5)) == list(scenario.events())
    assert list(scenario.events(6)) != list(scenario.events())


def test_a_scenario_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("about: mine\nspeed: 5\njobs: 2\ntrace: {rounds: 7, mix: p2}\n")
    scenario = load_scenario(str(path))
    assert (scenario.speed, scenario.jobs, scenario.trace.rounds, scenario.trace.mix) == (5, 2, 7, "p2")


def test_a_scenario_need_not_say_what_it_is_about() -> None:
    assert parse_scenario("mine", "speed: 2").speed == 2


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_of_the_folder_says_what_it_is_about(name: str) -> None:
    scenario = parse_scenario(name, (FOLDER / f"{name}.yaml").read_text())
    assert len(scenario.about) > 20
    assert scenario.name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("about: x\njobs: true", "jobs is True; use int"),
        ("about: x\nspeed: fast", "speed is 'fast'; use float"),
        ("about: x\ntrace: {colour: red}", "'colour' is unknown; there are clients, per_round"),
        ("about: x\ntrace: [rounds, 7]", r"trace is \['rounds', 7\]; use a mapping"),
        ("about: x\nname: yours", "'name' is that of the file; leave it out"),
    ],
)
def test_a_scenario_that_does_not_fit_names_the_key_and_what_would(text: str, message: str) -> None:
    with pytest.raises(InvalidParameters, match=message):
        parse_scenario("mine", text)
