"""`python -m loadgen study`: runs the study of caching policies and writes it up."""

from pathlib import Path

import click
from rich.progress import Progress

from loadgen.study.cells import Measured, all_cells, run_study
from loadgen.study.report import write_report

PATH = click.Path(dir_okay=False, path_type=Path)


@click.command("study", context_settings={"show_default": True})
@click.option(
    "--results", type=PATH, default=Path("build/study.jsonl"), help="Finished cells; delete it to begin anew."
)
@click.option("--page", type=PATH, default=Path("docs/policies.md"), help="Page to write the tables into.")
@click.option("--processes", default=2, help="Simulations at once.")
def study_command(results: Path, page: Path, processes: int) -> None:
    """Simulate policies × mixes × budgets × seeds and write tables and curves. Continues where it was stopped."""
    cells = all_cells()
    measured: list[Measured] = []
    with Progress() as progress:
        for rows in progress.track(run_study(cells, results, processes), total=len(cells), description="Simulating"):
            measured += rows
    write_report(measured, page)
