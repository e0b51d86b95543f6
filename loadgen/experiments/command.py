"""`python -m loadgen experiments`, behind `make experiments`."""

from pathlib import Path

import click
from rich.progress import Progress

from loadgen.experiments.base import Cell
from loadgen.experiments.design import Design, load_design
from loadgen.experiments.page import Section, write
from loadgen.experiments.registry import EXPERIMENTS
from loadgen.experiments.runner import Progress as CellProgress
from loadgen.experiments.runner import is_done, run
from loadgen.run.command import click_errors

FOLDER = click.Path(file_okay=False, path_type=Path)
NAMES = [experiment.name for experiment in EXPERIMENTS]


@click.command("experiments", context_settings={"show_default": True})
@click.argument("names", type=click.Choice(NAMES), nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Few and small cells, to check that everything works.")
@click.option("--kept", type=FOLDER, default=Path("build/experiments"), help="Finished cells; delete one to redo it.")
@click.option("--output", type=FOLDER, default=Path("docs/results"), help="Page, pictures and summaries.")
def experiments_command(names: tuple[str, ...], quick: bool, kept: Path, output: Path) -> None:
    """Run all experiments, or those named, and write the results page.

    Finished cells are not run again, so an interrupted run continues where it was. The page also shows the other
    experiments whose cells are all finished.
    """
    folder = kept / "quick" if quick else kept
    sections = []
    with click_errors(), Progress() as progress:
        for experiment in EXPERIMENTS:
            design = load_design(experiment.name, quick=quick)
            if not names or experiment.name in names or is_done(design.cells(), folder):
                outcomes = run(experiment, design.cells(), folder, _teller(progress, design))
                sections.append(Section(experiment.title, design, outcomes, experiment.report(outcomes)))
    click.echo(str(write(sections, output, "make experiments")))


def _teller(progress: Progress, design: Design) -> CellProgress:
    task = progress.add_task(design.name, total=len(design.cells()))

    def tell(cell: Cell, kept: bool) -> None:
        if not kept:
            progress.console.print(f"{cell.experiment}: {cell.name}", highlight=False)
        progress.advance(task)

    return tell
