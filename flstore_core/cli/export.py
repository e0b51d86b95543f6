"""`flstore export`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.console import Console
from rich.progress import Progress

from flstore_core import tables
from flstore_core.cli.session import Session, connected
from flstore_core.errors import InvalidParameters
from flstore_core.ids import encode
from flstore_core.records import Round

if TYPE_CHECKING:
    import pyarrow


@click.command("export")
@click.argument("form", type=click.Choice(["parquet", "arrow"]))
@click.argument("job")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="By default JOB.FORM.")
@click.option("--first", type=int, default=0, show_default=True, help="First round of the table.")
@click.option("--last", type=int, help="Last round of the table; by default the newest.")
@connected
def export_command(
    session: Session, form: Literal["parquet", "arrow"], job: str, output: Path | None, first: int, last: int | None
) -> None:
    """Write the metadata of JOB's rounds as one table, for pandas, polars and DuckDB.

    It has a row for each update and aggregate, and a column for each metric. FORM is parquet, or arrow for a file that
    Arrow maps into memory (also called Feather). Open rounds are in it too.
    """
    _require_pyarrow()
    path = output or Path(f"{encode(job)}.{form}")
    table = tables.to_arrow(tables.columns(_fetch(session, job, first, last)))
    try:
        _write(table, path, form)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # pyarrow tells it at length
        raise InvalidParameters(f"file {str(path)!r} cannot be written: {reason}") from error
    shown = {"path": str(path), "rows": table.num_rows, "columns": table.column_names}
    session.show(shown, f"{path}: {table.num_rows} rows, {table.num_columns} columns")


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
