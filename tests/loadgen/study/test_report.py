"""The study's page: tables of means and spreads, curves, and an honest list of what was lost."""

from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner

from flstore_core.patterns import Pattern
from flstore_core.policies.registry import BELADY, ablation_names, rival_names
from loadgen.pictures.files import kept
from loadgen.study import command
from loadgen.study.cells import BUDGETS, SEEDS, Cell, Measured
from loadgen.study.report import BEGIN, END, tables, write_report
from loadgen.traces.mixes import MIXES

NAMES = dict.fromkeys(("tailored", *rival_names(), BELADY, *ablation_names()))


def measured(policy: str, rate: float, cell: Cell) -> Measured:
    rates = {"overall": rate, **{pattern.value: rate for pattern in Pattern}}
    return Measured(cell, policy, rates, 10 if policy == "tailored" else 0, 8 if policy == "tailored" else 0, 2e-6)


def study(leader: str = "tailored") -> list[Measured]:
    """Return a study in which every policy hits half of the time, the tailored one and a leader more often."""
    rates = dict.fromkeys(NAMES, 0.5) | {"tailored": 0.8} | ({leader: 0.9} if leader != "tailored" else {})
    cells = [Cell(mix, budget, seed) for mix, budget, seed in product(MIXES, BUDGETS, SEEDS)]
    return [measured(name, rate + 0.01 * cell.seed, cell) for cell in cells for name, rate in rates.items()]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "policies.md"
    path.write_text(f"# By hand\n\n{BEGIN}\nold tables\n{END}\n\nStays.\n")
    return path


def test_only_what_lies_between_the_marks_is_written(page: Path) -> None:
    write_report(study(), page)
    text = page.read_text()
    assert text.startswith(f"# By hand\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nStays.\n")
    assert "old tables" not in text
    pictures = {path.name: picture for path, picture in kept(page.parent / "images")}
    assert set(pictures) == {f"policies-{mix}.svg" for mix in MIXES}
    assert dict(pictures["policies-paper.svg"].curves)["lru"][0] == pytest.approx([0.5, 0.53])


def test_rates_are_means_and_sample_deviations_over_seeds() -> None:
    text = tables(study())
    # 0.81 … 0.85 over five seeds: mean 0.83, standard deviation 0.01 · sqrt(2.5) = 0.0158.
    assert "| `tailored` | 83.0 ± 1.6 | 83.0 ± 1.6 |" in text


def test_costs_and_prefetches_are_shown() -> None:
    text = tables(study())
    assert "| `tailored` | 2.0 | 10 | 80 % |" in text
    assert "| `lru` | 2.0 | 0 | – |" in text


def test_a_policy_that_is_never_beaten_is_said_to_be_so() -> None:
    text = tables(study())
    assert "In none of these mixes and budgets does an online rival lead by more than 0.5 points." in text


def test_every_loss_is_listed() -> None:
    text = tables(study(leader="lru"))
    assert "- Mix paper, 2 rounds: `lru` 93.0 %, `tailored` 83.0 %." in text
    assert text.count("`lru` 93.0 %, `tailored` 83.0 %") == len(MIXES) * len(BUDGETS)


def test_the_offline_reference_does_not_count_as_a_rival() -> None:
    text = tables(study(leader=BELADY))
    assert "In none of these mixes" in text


def test_the_command_writes_the_page_from_all_cells(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def run_study(cells: list[Cell], results: Path, processes: int) -> list[list[Measured]]:
        seen.extend([len(cells), processes])
        return [study()]

    monkeypatch.setattr(command, "run_study", run_study)
    result = CliRunner().invoke(command.study_command, ["--page", str(page), "--processes", "3"])
    assert result.exit_code == 0, result.output
    assert seen == [len(MIXES) * len(BUDGETS) * len(SEEDS), 3]
    assert "### Ablation" in page.read_text()
