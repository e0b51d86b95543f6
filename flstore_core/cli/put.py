"""`flstore put`."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from flstore_core.cli.session import Session, connected, wide_option
from flstore_core.cli.tables import table
from flstore_core.cli.values import FILE, base_option, merged, pairs, tensors_in
from flstore_core.client import Receipt
from flstore_core.ids import AGGREGATE, ClientId, client_id, encode
from flstore_core.units import format_size

_AT_ONCE = 4


@click.command("put")
@click.argument("job")
@click.argument("round_", metavar="ROUND", type=int)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--client", help="The client's name; by default the name of its file, without the suffix.")
@click.option("--aggregate", is_flag=True, help="Store the model that the round ended with.")
@click.option("--replace", is_flag=True, help="Take the place of other updates, as long as the round is open.")
@base_option
@pairs("-m", "--metric", "metrics", help="Such as num_examples=120.")
@wide_option
@connected
def put_command(
    session: Session,
    job: str,
    round_: int,
    files: tuple[Path, ...],
    client: str | None,
    aggregate: bool,
    replace: bool,
    base: str | None,
    metrics: Sequence[tuple[str, Any]],
    wide: bool,
) -> None:
    """Store each FILE (.safetensors or .npz) as a client's update in ROUND of JOB."""
    if len(files) > 1 and (client or aggregate):
        raise click.UsageError("--client and --aggregate need exactly one file")
    names = [AGGREGATE if aggregate else _client(client or file.stem) for file in files]
    shared_metrics = merged(metrics)

    def put(name: str, file: Path) -> Receipt:
        return _put(session, bars, job, round_, name, file, metrics=shared_metrics, replace=replace, base=base)

    with _bars(session) as bars, ThreadPoolExecutor(_AT_ONCE) as pool:
        receipts = list(pool.map(put, names, files))
    rows = [[r.client, format_size(r.nbytes), _outcome(r), r.sha256] for r in receipts]
    session.show(receipts, table("", ["client", "size", "", "sha256"], rows, wide))


def _outcome(receipt: Receipt) -> str:
    outcome = "stored" if receipt.created else "stored before"
    return f"{outcome}, tensors put in order" if receipt.rewritten else outcome


def _client(name: str) -> ClientId:
    if name == AGGREGATE:
        raise click.UsageError(f"{name!r} is no client's name; use --aggregate to store the round's model")
    return client_id(encode(name))


def _put(session: Session, bars: Progress, job: str, number: int, name: str, file: Path, **options: Any) -> Receipt:
    tensors = tensors_in(file)
    task = bars.add_task(name, total=None)

    def moved(done: int, total: int) -> None:
        bars.update(task, completed=done, total=total)

    if name == AGGREGATE:
        return session.client.put_aggregate(job, number, tensors, progress=moved, **options)
    return session.client.put_update(job, number, name, tensors, progress=moved, **options)


def _bars(session: Session) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=session.as_json or not console.is_terminal)
