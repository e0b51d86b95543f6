"""What experiments are made from: designs, pages, histories, queues, without a system."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from flstore_core import layout
from flstore_core.errors import InvalidParameters, Unavailable
from flstore_core.generations import Generations
from flstore_core.ids import ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.records import Job, Member, Round, to_bytes
from flstore_core.schema import Schema
from flstore_core.storage import DirectoryStore
from loadgen.__main__ import main
from loadgen.experiments import history as history_module
from loadgen.experiments.base import Cell, Outcome, Report
from loadgen.experiments.design import Design, parse_design
from loadgen.experiments.growth import add_history
from loadgen.experiments.history import History
from loadgen.experiments.network_of_queues import Flow, Station, offered, simulate
from loadgen.experiments.page import BEGIN, END, Section, write
from loadgen.experiments.planning import Services, _model, _table
from loadgen.experiments.runner import run
from loadgen.pictures.base import Axis, Picture
from loadgen.pictures.drawing import draw
from loadgen.pictures.files import kept
from loadgen.run.events import Commit, Update
from loadgen.run.runner import Pace
from tests.loadgen.results import result

PICTURE = Picture("Drawn", {"a": [(1.0, 0.5)]}, Axis("x"), Axis("y"))
DESIGN = Design("mine", "About mine.", (1, 2), None, {"x": (1, 2)})


def outcomes() -> list[Outcome]:
    measured = {"ms": 2.0, "curve": [[1, 0.5]]}
    return [Outcome(cell.values, cell.seed, measured, 3.0, 0.1 * cell.seed) for cell in DESIGN.cells()]


def test_a_page_is_written_around_what_stands_there_by_hand(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    section = Section("My title", DESIGN, outcomes(), Report("| a table |\n", {"drawn": PICTURE}))
    assert write([section], tmp_path, "make experiments") == page
    text = page.read_text()
    assert text.startswith(f"Before.\n{BEGIN}\n")
    assert text.endswith(f"{END}\nAfter.\n")
    assert "## My title\n\nAbout mine. Seeds 1, 2; 4 cells in 12 s; load average 0.1 to 0.2.\n\n| a table |" in text
    assert "by `make experiments` on" in text
    assert "old" not in text
    assert [draw(picture) for _, picture in kept(tmp_path)] == [draw(PICTURE)]
    assert (tmp_path / "drawn.svg").read_text() == draw(PICTURE)


def test_summaries_leave_the_points_of_curves_out(tmp_path: Path) -> None:
    write([Section("T", DESIGN, outcomes(), Report(""))], tmp_path / "new", "c")
    rows = json.loads((tmp_path / "new" / "mine.json").read_text())
    assert [row["values"] for row in rows] == [{"x": 1}, {"x": 1}, {"x": 2}, {"x": 2}]
    assert all(row["measured"] == {"ms": 2.0} for row in rows)
    assert (tmp_path / "new" / "README.md").read_text().startswith("# Results\n")


def test_an_outcome_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    class Breaking:
        name = title = "breaking"

        def measure(self, cell: Cell) -> dict[str, Any]:
            return {"not JSON": object()}

        def report(self, outcomes: Any) -> Report:
            return Report("")

    cell = Cell("breaking", {"x": 1}, 1)
    with pytest.raises(TypeError):
        run(Breaking(), [cell], tmp_path, lambda *_: None)
    assert not (tmp_path / "breaking" / f"{cell.name}.json").exists()


@pytest.mark.parametrize("quick", [False, True])
def test_a_quick_design_replaces_values_seeds_and_trace(quick: bool) -> None:
    text = """
about: x
seeds: [1, 2, 3]
trace: {rounds: 50, clients: 20}
vary: {model: [resnet18, swin_v2_t], shards: [1, 2]}
quick: {seeds: [1], vary: {shards: [1]}, trace: {rounds: 3}}
"""
    cells = parse_design("mine", text, quick=quick).cells()
    assert len(cells) == (2 if quick else 12)
    assert {cell.trace.rounds for cell in cells} == {3 if quick else 50}
    assert {cell.trace.clients for cell in cells} == {20}


def test_a_trace_setting_that_does_not_exist_is_named() -> None:
    text = "about: x\nseeds: [1]\ntrace: {colour: red}\nvary: {}\nquick: {}"
    with pytest.raises(InvalidParameters, match="design 'mine', trace: 'colour' is unknown"):
        parse_design("mine", text)


def test_an_unknown_experiment_is_refused_with_the_known_ones() -> None:
    done = CliRunner().invoke(main, ["experiments", "growth"])
    assert done.exit_code == 2
    assert "'growth-clients'" in done.stderr


HISTORY = History(400, jobs=2, rounds=3, clients=2, settings={"slices": 1})


def test_a_history_is_every_jobs_rounds_each_ending_in_its_commit() -> None:
    events = list(HISTORY.events())
    assert len(events) == 2 * 3 * (2 + 1)
    for start in range(0, len(events), 3):
        first, second, commit = events[start : start + 3]
        assert isinstance(first, Update)
        assert isinstance(second, Update)
        assert isinstance(commit, Commit)
        assert (first.client, second.client) == ("client-0", "client-1")
        assert first.round == second.round == commit.round
    assert Counter(event.job for event in events) == {"job-0": 9, "job-1": 9}


def test_a_history_is_stored_serially_with_its_settings() -> None:
    plan = HISTORY.plan
    assert plan.pace is Pace.SERIAL
    assert plan.job_settings == {"clients_per_round": 2, "hot_rounds": 2, "slices": 1}


def test_requests_are_about_the_newest_round_or_all_metadata() -> None:
    newest = HISTORY.ask("norms", job=1)
    assert (newest.job, newest.pattern, newest.keys) == ("job-1", Pattern.P2, ((2, "client-0"), (2, "client-1")))
    every = HISTORY.all_rounds("metrics")
    assert (every.pattern, every.keys) == (Pattern.P4, tuple((number, "metadata") for number in range(3)))


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    runs: list[list[Any]] = []

    def run_session(session: Any, events: Any) -> dict[str, Any]:
        runs.append(list(events))
        return result(partial=session.url == "http://broken", headline="PARTIAL: broken")

    monkeypatch.setattr(history_module, "run_session", run_session)
    return runs


def test_waking_stores_a_round_of_another_job(stored: list[list[Any]]) -> None:
    assert HISTORY.woken("http://x") is HISTORY
    assert [(event.job, type(event).__name__) for event in stored[0]] == [("first-0", "Update"), ("first-0", "Commit")]


def test_only_the_newest_round_of_the_first_job_is_stored_anew(stored: list[list[Any]]) -> None:
    HISTORY.store_newest("http://x")
    assert {(event.job, event.round) for event in stored[0]} == {("job-0", 2)}
    assert len(stored[0]) == 3


def test_a_history_that_was_stored_in_part_is_an_error(stored: list[list[Any]]) -> None:
    with pytest.raises(Unavailable, match="PARTIAL: broken"):
        HISTORY.store("http://broken")


class Target:
    """Answers at once, and counts how many calls are under way."""

    def __init__(self, pool: Any) -> None:
        self.under_way = self.most = self.calls = 0
        TARGETS.append(self)

    async def catalogue(self) -> Any:
        return type("Catalogue", (), {"question": lambda self, ask: ask.workload})()

    async def ask(self, job: str, question: Any) -> Any:
        self.calls += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        return type("Answered", (), {"dollars": 0.25})


TARGETS: list[Target] = []


@pytest.mark.parametrize("workers", [1, 4])
def test_a_request_is_repeated_by_workers_that_wait_for_their_answers(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    TARGETS.clear()
    monkeypatch.setattr(history_module, "Target", Target)
    measured = history_module.asked_again("http://127.0.0.1:1", HISTORY.ask("norms"), 20, workers)
    [target] = TARGETS
    assert target.calls == 21, "one that is not measured"
    assert target.most == workers
    assert measured["dollars"] == 0.25
    assert measured["per_s"] > 0


def test_a_long_history_is_a_stored_round_under_other_numbers(tmp_path: Path) -> None:
    client = ClientId("client-0")
    store = DirectoryStore(tmp_path)
    schema = Schema.from_json([{"name": "w", "dtype": "F32", "shape": [1]}])
    job = Job(JobId("job-0"), schema, generation="g1")
    Generations(store).begin(job)
    home = job.home
    member = Member(client, "00", 4, 0, {}, 1.0)
    store.put(layout.tensors(home, 0, client), b"model")
    store.put(layout.round_record(home, 0), to_bytes(Round(0, None, (member,), None, {}, {}, 1.0).to_json()))
    add_history(tmp_path, "job-0", 4)
    for number in range(1, 4):
        record = Round.from_json(json.loads(store.get(layout.round_record(home, number))))
        assert (record.number, record.base, record.members) == (number, number - 1, (member,))
        assert store.get(layout.tensors(home, number, client)) == b"model"
    first, last = (tmp_path / layout.tensors(home, number, client) for number in (0, 3))
    assert first.samefile(last), "hard links: the bytes are stored once"


@given(st.floats(0.1, 0.8), st.integers(1, 4))
def test_the_offered_load_of_a_station_scales_with_flow_and_servers(load: float, servers: int) -> None:
    flows = [Flow("a", load * servers, [("s", 1.0)])]
    assert offered([Station("s", servers)], flows)["s"] == pytest.approx(load)
    assert offered([Station("s", 2 * servers)], flows)["s"] == pytest.approx(load / 2)


def test_departures_of_a_tandem_keep_the_rate_and_add_their_stays() -> None:
    """Burke 1956: an M/M/1 queue's departures are Poisson, so that a second one behaves as if it were alone."""
    flows = [Flow("all", 0.5, [("one", 1.0), ("two", 1.0)])]
    seen = simulate([Station("one", 1), Station("two", 1)], flows, 60_000.0, random.Random(3))
    stays = seen.finished["all"]
    assert sum(stays) / len(stays) == pytest.approx(2 * 2.0, rel=0.1), "each stay is 1 / (1 - 0.5) services"


def test_a_flow_that_does_not_come_is_not_seen() -> None:
    seen = simulate([Station("one", 1)], [Flow("none", 0.0, [("one", 1.0)])], 100.0, random.Random(1))
    assert not seen.finished


def test_planning_gives_each_job_the_hourly_load_of_the_papers_trace() -> None:
    stations, flows = _model(3600, Services(answer=0.001, mapped=0.002, upload=0.01, commit=0.1), table_s=0.5)
    per_s = {flow.name: flow.per_s for flow in flows}
    # 3,600 jobs with 60 requests and 20 rounds of 11 uploads an hour: each figure is that of one job an hour, a second.
    assert per_s == pytest.approx(
        {"uploads": 220.0, "commits": 20.0, "answers": 45.0, "weights": 15.0, "new jobs": 1 / 50}
    )
    loads = offered(stations, flows)
    assert loads["shards"] == pytest.approx((220 * 0.01 + 15 * 0.002) / 1000)
    assert loads["table"] == pytest.approx(0.5 / 50)


def test_a_table_of_more_jobs_is_larger_and_slower_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.experiments.planning.SHARDS", 8)
    monkeypatch.setattr("loadgen.experiments.planning.PLANNED_JOBS", 20)
    _, small = _table(20)
    _, large = _table(2000)
    assert large == pytest.approx(100 * small, rel=0.01)
