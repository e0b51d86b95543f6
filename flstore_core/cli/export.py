"""`flstore export`: tables for pandas, polars and DuckDB, runs for MLflow, archives to keep."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.console import Console
from rich.progress import Progress

from flstore_core import tables
from flstore_core.archives import export_job
from flstore_core.cli.lazy import OrderedGroup
from flstore_core.cli.moving import shown
from flstore_core.cli.session import Session, connected, connected_for_long
from flstore_core.errors import InvalidParameters
from flstore_core.ids import encode
from flstore_core.integrations.mlflow import MLflow
from flstore_core.local_files import writing
from flstore_core.presentation import counted
from flstore_core.records import Round
from flstore_core.units import format_size

if TYPE_CHECKING:
    import pyarrow

_ROWS = """For pandas, polars and DuckDB: a row for each update and aggregate, a column for each metric. Open rounds are
in it too."""


@click.group("export", cls=OrderedGroup)
def export_group() -> None:
    """Hand a job on: its metadata as a table, its rounds into MLflow, or all of it as an archive."""


def _table_command(form: Literal["parquet", "arrow"], summary: str) -> click.Command:
    """Return the command that writes tables of one form."""

    @click.command(form, help=f"{summary}\n\n{_ROWS}", short_help=summary)
    @click.argument("job")
    @click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help=f"By default JOB.{form}.")
    @click.option("--first", type=int, default=0, show_default=True, help="First round of the table.")
    @click.option("--last", type=int, help="Last round of the table; by default the newest.")
    @connected
    def command(session: Session, job: str, output: Path | None, first: int, last: int | None) -> None:
        _require_pyarrow()
        path = output or Path(f"{encode(job)}.{form}")
        table = tables.to_arrow(tables.columns(_fetch(session, job, first, last)))
        with writing(path):
            _write(table, path, form)
        shown = {"path": str(path), "rows": table.num_rows, "columns": table.column_names}
        session.show(shown, f"{path}: {table.num_rows} rows, {table.num_columns} columns")

    return command


export_group.add_command(_table_command("parquet", "Write the metadata of JOB's rounds as a Parquet file."))
export_group.add_command(
    _table_command("arrow", "Write it as a file that Arrow maps into memory, also called Feather.")
)


@export_group.command("mlflow")
@click.argument("job")
@click.option("--experiment", default="", help="The experiment's name; by default the one that MLflow is set to.")
@click.option("--tracking-uri", help="MLflow's server or store; by default the one that MLflow is set to.")
@click.option("--run-id", default="", help="The run to fill; by default the one that JOB has, or a new one.")
@click.option("--clients/--no-clients", default=True, show_default=True, help="Write clients' own metrics too.")
@connected
def mlflow_command(
    session: Session, job: str, experiment: str, tracking_uri: str | None, run_id: str, clients: bool
) -> None:
    """Write the committed rounds of JOB into a run of MLflow.

    A round is a step. If it is done again, the same run gets the rounds that it lacks.
    """
    tracker = MLflow(experiment, tracking_uri=tracking_uri, run_id=run_id, per_client=clients)
    exported = tracker.track(session.client, job)
    session.show(exported, f"run {exported.run_id}: {counted(len(exported.rounds), 'round')} added")


@export_group.command("archive")
@click.argument("job")
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
@connected_for_long
def archive_command(session: Session, job: str, archive: Path) -> None:
    """Write all of JOB into the file ARCHIVE, which `flstore import` puts into any FLStore.

    It is a tar file with the job's updates, aggregates, program and data sets, their metrics and settings, and the hash
    of each. Run it again to go on after an interruption.
    """
    with shown(quiet=session.as_json) as progress:
        exported = export_job(session.client, job, archive, progress=progress)
    kept = f", {format_size(exported.kept)} of it from an earlier export" if exported.kept else ""
    size = f"{counted(exported.rounds, 'round')}, {counted(exported.files, 'file')}, {format_size(exported.nbytes)}"
    session.show(exported, f"{archive}: {size}{kept}", f"fingerprint {exported.fingerprint}")


def _fetch(session: Session, job: str, first: int, last: int | None) -> list[Round]:
    """Return the records of the rounds from `first` to `last`, ascending."""
    listed = [info.round for info in session.client.rounds(job)]
    numbers = [number for number in listed if first <= number and (last is None or number <= last)]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=session.as_json or not console.is_terminal) as bars:
        return [session.client.round(job, number) for number in bars.track(numbers, description="rounds")]


def _write(table: "pyarrow.Table", path: Path, form: str) -> None:
    """Write a table beside its place first, so that no half of a file is ever found there."""
    import pyarrow.feather
    import pyarrow.parquet

    unfinished = path.with_name(path.name + ".part")
    try:
        if form == "parquet":
            pyarrow.parquet.write_table(table, unfinished)
        else:
            pyarrow.feather.write_feather(table, unfinished, compression="uncompressed")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise InvalidParameters(
            "tables are written by pyarrow, which is missing; pip install 'flstore[arrow]'"
        ) from error
