"""`flstore demo`."""

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from flstore_core.cli.session import json_option, reported, to_json
from flstore_core.client import FLStore
from loadgen.demo.demonstration import IDLE_S, demonstrate
from loadgen.demo.report import Report
from loadgen.demo.training import Setup, Training
from services.local.console import MISSING, can_show, console_listening
from services.local.running import running
from services.local.settings import HOST
from services.local.sockets import url_of

SHARDS = 2
_LOG_WIDTH = 120
"""Columns of the table where no terminal says how many there are."""


@click.command("demo")
@click.option("--store", metavar="DIR|s3://…", help="Keep the data there; in a folder thrown away by default.")
@click.option("--rounds", type=click.IntRange(5, 200), default=Setup.rounds, show_default=True, help="Rounds to train.")
@click.option("--keep", is_flag=True, help="Leave the system running afterwards, to look at, until Ctrl-C.")
@json_option
def demo_command(store: str | None, rounds: int, keep: bool, as_json: bool) -> None:
    """Train, attack, ask every workload, and compare.

    Fifty clients learn scikit-learn's handwritten digits federatedly, three of them dishonestly, through a local
    FLStore of two shards. Then every workload that runs no model is asked with the data in memory, with all shards at
    zero, and of an aggregator that reads the same objects from the same store. Ends with exit code 1 if FLStore and the
    aggregator disagree.
    """
    with reported(as_json), _folder() as folder:
        kept = _store(store) if store else str(folder / "store")
        log = folder / "log"
        with ExitStack() as stack:
            shown = stack.enter_context(console_listening(HOST)) if keep and can_show() else None
            url, _ = stack.enter_context(running(kept, shards=SHARDS, idle_seconds=IDLE_S, log=log, console=shown))
            with FLStore(url) as client, _bars(as_json) as bars:
                report = demonstrate(client, kept, Training(Setup(rounds=rounds)), bars)
            if as_json:
                click.echo(to_json(report.to_json()))
            else:
                _print(report)
            if keep:
                _stay(url, url_of(shown) if shown else MISSING)
    sys.exit(0 if report.agrees else 1)


def _stay(url: str, console: str) -> None:
    """Say where the system is, and wait for Ctrl-C."""
    click.echo(f"FLStore goes on at {url}, console: {console}; Ctrl-C ends it.", err=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder for the time being."""
    with tempfile.TemporaryDirectory(prefix="flstore-demo-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _store(chosen: str) -> str:
    return chosen if "://" in chosen else str(Path(chosen).absolute())


def _print(report: Report) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = _LOG_WIDTH
    for line in report.lines():
        console.print(line)


def _bars(as_json: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), disable=as_json)
