"""`flstore copy-store`."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from flstore_core.cli.session import Output, json_option, reported
from flstore_core.errors import InvalidParameters
from flstore_core.presentation import counted, legible
from flstore_core.storage import open_store
from flstore_core.storage.copying import Copied, copy_store
from flstore_core.storage.copying import Progress as Report
from flstore_core.units import format_size

MOST_NAMED = 20
"""Keys that are shown of a longer list; `--json` has them all."""

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("copy-store")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--from-env", type=_FILE, help="File of NAME=VALUE lines by which FROM is opened, such as its keys.")
@click.option("--to-env", type=_FILE, help="The same for TO.")
@click.option("--replace", is_flag=True, help="Replace records in TO that have changed in FROM since an earlier run.")
@json_option
def copy_store_command(
    source: str, target: str, from_env: Path | None, to_env: Path | None, replace: bool, as_json: bool
) -> None:
    """Copy everything from one object store into another: s3://bucket/prefix?endpoint=… or a directory each.

    Each object is created only where it is missing, and read back and compared by its SHA-256. Run it again to go on
    after an interruption, or to compare everything. Ends with 1 if objects in TO differ.
    """
    with (
        reported(as_json),
        closing(open_store(source, _environment(from_env))) as here,
        closing(open_store(target, _environment(to_env))) as there,
        _shown(quiet=as_json) as progress,
    ):
        copied = copy_store(here, there, replace=replace, progress=progress)
    Output(as_json).show(copied, *_lines(copied))
    if copied.differing:
        sys.exit(1)


def _environment(file: Path | None) -> Mapping[str, str]:
    """Return the environment by which a store is opened: that of the file takes the place of this process'."""
    if file is None:
        return os.environ
    env: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        name, separator, value = line.strip().partition("=")
        if separator:
            env[name.strip()] = value.strip()
        elif name and not name.startswith("#"):  # it is not shown, since it may be a secret
            raise InvalidParameters(f"line {number} of {str(file)!r} is not understood; write NAME=VALUE")
    return env


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Report]:
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bars:
        task = bars.add_task("", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _lines(copied: Copied) -> Iterator[str]:
    yield f"{counted(copied.created, 'object')} created, {copied.replaced} replaced: {format_size(copied.nbytes)}"
    yield f"{copied.present} compared and equal, {copied.gone} deleted from the source meanwhile"
    yield from _named("with other content in the target; --replace takes the source's", copied.differing)
    yield from _named("only in the target", copied.only_in_target)


def _named(what: str, keys: tuple[str, ...]) -> Iterator[str]:
    if keys:
        yield f"{counted(len(keys), 'object')} {what}:"
        yield from (f"  {legible(key)}" for key in keys[:MOST_NAMED])
    if len(keys) > MOST_NAMED:
        yield f"  and {len(keys) - MOST_NAMED} more"
