"""Cells of the study: measured once, kept, and continued after a stop."""

import json
from pathlib import Path

import pytest

from loadgen.study import cells as module
from loadgen.study.cells import BUDGETS, SEEDS, Cell, Measured, all_cells, run_cell, run_study
from loadgen.traces.mixes import MIXES

SMALL = Cell("p2", 2, 1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have cells replay traces of 12 rounds and 30 requests."""
    for name, value in (("ROUNDS", 12), ("REQUESTS", 30), ("HOURS", 0.6)):
        monkeypatch.setattr(module, name, value)


def test_the_grid_is_every_mix_budget_and_seed_once() -> None:
    grid = all_cells()
    assert len(grid) == len(set(grid)) == len(MIXES) * len(BUDGETS) * len(SEEDS)


def test_a_budget_is_a_number_of_rounds_of_the_model() -> None:
    assert Cell("paper", 2, 1).budget == 2 * 11 * 4 * 11_689_512  # ten updates and an aggregate of ResNet18
    assert Cell("paper", 0.5, 1).budget == Cell("paper", 2, 1).budget // 4


@pytest.mark.usefixtures("small")
def test_a_cell_measures_every_policy_and_the_offline_reference_is_not_beaten_by_what_it_imitates() -> None:
    measured = {each.policy: each for each in run_cell(SMALL)}
    assert {"tailored", "lru", "belady"} <= measured.keys()
    for each in measured.values():
        assert each.cell == SMALL
        assert 0.0 <= each.hit_rates["overall"] <= 1.0
        assert each.hit_rates.keys() == {"overall", "P2"}, "only patterns that were requested"
        assert each.prefetches_used <= each.prefetches
    assert measured["belady"].hit_rates["overall"] >= measured["lru"].hit_rates["overall"]
    assert measured["lru"].prefetches == 0


class Here:
    """A pool of processes that is this process."""

    def __init__(self, processes: int) -> None:
        self.processes = processes

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def submit(self, function: object, cell: Cell) -> "Done":
        return Done(cell)


class Done:
    """A finished future, whose cell measured 0.5 with one policy."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def result(self) -> list[Measured]:
        RUN.append(self._cell)
        return [Measured(self._cell, "lru", {"overall": 0.5}, 0, 0, 1e-6)]


RUN: list[Cell] = []


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    RUN.clear()
    monkeypatch.setattr(module, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(module, "as_completed", list)


@pytest.mark.usefixtures("in_process")
def test_a_study_that_was_stopped_continues_with_the_cells_that_are_missing(tmp_path: Path) -> None:
    kept = tmp_path / "build" / "study.jsonl"
    first, second = Cell("p1", 1, 1), Cell("p1", 2, 1)
    assert [rows[0].cell for rows in run_study([first], kept, 2)] == [first]
    kept.write_text(kept.read_text() + '{"cell": ["p1", 2')  # it was stopped while it wrote
    kept.write_text(kept.read_text() + "\n")
    assert [rows[0].cell for rows in run_study([first, second], kept, 2)] == [first, second]
    assert [first, second] == RUN, "the finished cell ran once, the unfinished one again"
    lines = [json.loads(line) for line in kept.read_text().splitlines() if line.endswith("}")]
    assert [line["cell"] for line in lines] == [["p1", 1, 1], ["p1", 2, 1]]


@pytest.mark.usefixtures("in_process")
def test_what_was_kept_is_what_was_measured(tmp_path: Path) -> None:
    kept = tmp_path / "study.jsonl"
    measured = list(run_study([SMALL], kept, 1))
    assert list(run_study([SMALL], kept, 1)) == measured
    assert RUN == [SMALL]
