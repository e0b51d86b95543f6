"""The experiments: one small one end to end, and what all of them are made from."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from loadgen.__main__ import main
from loadgen.compare.hourly_cost import awake_share
from loadgen.experiments.base import Cell, Measured, Outcome, Report
from loadgen.experiments.design import load_design, parse_design
from loadgen.experiments.network_of_queues import Flow, Station, offered, simulate
from loadgen.experiments.page import BEGIN, END
from loadgen.experiments.power_law import power_law
from loadgen.experiments.registry import EXPERIMENTS
from loadgen.experiments.runner import is_done, run
from loadgen.run.events import Update

NAME = "growth-clients"


def test_an_experiment_runs_end_to_end_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    page = tmp_path / "results" / "README.md"
    page.parent.mkdir()
    page.write_text(f"# By hand\n\n{BEGIN}\nold\n{END}\nStays.\n")
    _run_quick(tmp_path)
    first, second = sorted((tmp_path / "kept" / "quick" / NAME).iterdir())
    text = page.read_text()
    assert text.startswith("# By hand\n")
    assert text.endswith("Stays.\n")
    assert "| similarity of a round, ms |" in text
    assert (tmp_path / "results" / f"{NAME}.svg").read_text().startswith("<?xml")
    assert [row["values"]["clients"] for row in json.loads((tmp_path / "results" / f"{NAME}.json").read_text())] == [
        4,
        8,
    ]
    kept = first.read_text()
    second.unlink()
    _run_quick(tmp_path)
    assert first.read_text() == kept
    assert json.loads(second.read_text())["measured"]["statistics_ms"] > 0


def _run_quick(folder: Path) -> None:
    options = ["--quick", "--kept", str(folder / "kept"), "--output", str(folder / "results")]
    result = CliRunner().invoke(main, ["experiments", NAME, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output


class Counting:
    """An experiment that counts how often it is asked, and fails at its second cell the first time."""

    name = "counting"
    title = "Counting"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def measure(self, cell: Cell) -> Measured:
        self.asked.append(cell.seed)
        if self.asked == [0, 1]:
            raise InvalidParameters("stopped")
        return {"square": cell.seed**2}

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        return Report("")


def test_finished_cells_are_not_measured_again(tmp_path: Path) -> None:
    experiment, cells = Counting(), [Cell("counting", {"x": 1}, seed) for seed in range(3)]
    with pytest.raises(InvalidParameters):
        run(experiment, cells, tmp_path, lambda cell, kept: None)
    assert not is_done(cells, tmp_path)
    outcomes = run(experiment, cells, tmp_path, lambda cell, kept: None)
    assert experiment.asked == [0, 1, 1, 2]
    assert [each.measured["square"] for each in outcomes] == [0, 1, 4]
    assert is_done(cells, tmp_path)


@pytest.mark.parametrize("name", [experiment.name for experiment in EXPERIMENTS])
def test_every_experiment_has_a_design_and_a_quick_one_that_is_smaller(name: str) -> None:
    whole, quick = load_design(name).cells(), load_design(name, quick=True).cells()
    assert len({cell.name for cell in whole}) == len(whole)
    assert 0 < len(quick) <= len(whole)


def test_a_design_is_a_grid_whose_settings_go_into_the_trace() -> None:
    text = "about: x\nseeds: [1, 2]\ntrace: {rounds: 3}\nvary: {model: [resnet18, swin_v2_t], shards: [4]}\nquick: {}"
    cells = parse_design("mine", text).cells()
    assert [(cell.trace.model, cell.values["shards"], cell.trace.seed, cell.trace.rounds) for cell in cells] == [
        ("resnet18", 4, 1, 3),
        ("resnet18", 4, 2, 3),
        ("swin_v2_t", 4, 1, 3),
        ("swin_v2_t", 4, 2, 3),
    ]


def test_a_design_that_lacks_something_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="seeds"):
        parse_design("mine", "about: x")


@given(st.floats(-3, 3), st.floats(0.01, 100), st.lists(st.floats(0.1, 1e4), min_size=3, max_size=9, unique=True))
def test_the_fit_finds_the_law_that_made_the_points(exponent: float, factor: float, x: list[float]) -> None:
    if max(x) < 1.1 * min(x):
        x.append(10 * max(x))
    law = power_law(x, [factor * each**exponent for each in x])
    assert law.exponent == pytest.approx(exponent, abs=1e-6)
    assert law.factor == pytest.approx(factor, rel=1e-4)


def test_the_fit_admits_what_it_does_not_explain() -> None:
    assert power_law([1, 2, 4, 8], [1, 9, 1, 9]).r2 < 0.5
    assert power_law([1, 2, 4, 8], [3, 3, 3, 3]).exponent == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_one_queue_behaves_as_m_m_1(load: float) -> None:
    """Kleinrock 1975: in an M/M/1 queue the mean wait is rho / (1 - rho) services, the mean stay 1 / (1 - rho)."""
    seen = simulate([Station("one", 1)], [Flow("all", load, [("one", 1.0)])], 60_000.0, random.Random(1))
    at = seen.stations["one"]
    assert at.busy_s / 60_000 == pytest.approx(load, rel=0.05)
    assert at.waited_s / at.visits == pytest.approx(load / (1 - load), rel=0.1)
    assert sum(seen.finished["all"]) / len(seen.finished["all"]) == pytest.approx(1 / (1 - load), rel=0.1)


def test_two_servers_wait_as_erlang_c_says() -> None:
    """Erlang 1917: with c = 2 servers at load 0.5, a third of the customers wait; the mean wait is 1/3 of a service."""
    seen = simulate([Station("two", 2)], [Flow("all", 1.0, [("two", 1.0)])], 60_000.0, random.Random(2))
    assert seen.stations["two"].waited_s / seen.stations["two"].visits == pytest.approx(1 / 3, rel=0.1)


def test_the_offered_load_counts_every_flow_and_server() -> None:
    flows = [Flow("a", 2.0, [("x", 0.1), ("y", 1.0)]), Flow("b", 1.0, [("x", 0.2)])]
    assert offered([Station("x", 1), Station("y", 4)], flows) == {"x": pytest.approx(0.4), "y": pytest.approx(0.5)}


def test_a_shard_is_awake_from_an_ingest_until_its_window_is_over() -> None:
    events = [Update(t, "j", 0, "c", 4) for t in (0.0, 5.0, 100.0)]
    assert awake_share(events, 10.0) == pytest.approx((15 + 10) / 100)
    assert awake_share([], 10.0) == 0.0
