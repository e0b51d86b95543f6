"""`flstore up`."""

import json
import os
import signal
import threading
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from flstore_core.cli.session import json_option, reported
from services.local.running import running

STORE = ".flstore/store"
PORT = 8080


@click.command("up")
@click.option("--shards", type=click.IntRange(1, 1000), default=2, show_default=True, help="Number of shards.")
@click.option("--store", default=STORE, show_default=True, metavar="DIR|s3://…", help="The object store.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option(
    "--cache-size", default="512MiB", show_default=True, metavar="BYTES", help="Memory of each shard's cache."
)
@click.option("--policy", default="tailored", show_default=True, help="Caching policy of the shards.")
@click.option(
    "--idle",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="A shard goes to zero after so many seconds without a request; 0 for never.",
)
@click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False), help="File for the services' logs.  [default: stderr]"
)
@json_option
def up_command(
    shards: int, store: str, port: int, cache_size: str, policy: str, idle: float, log: Path | None, as_json: bool
) -> None:
    """Run FLStore on this machine until Ctrl-C.

    Gateway, placement controller and shards run as processes on 127.0.0.1; the first request that needs a shard
    starts it. With --json, one line of JSON gives the address once the gateway answers.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets its background jobs ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    with reported(as_json):
        try:
            with running(
                store, shards=shards, port=port, cache_size=cache_size, policy=policy, idle_seconds=idle, log=log
            ) as url:
                facts = {"url": url, "docs": f"{url}/docs", "store": store, "shards": shards, "pid": os.getpid()}
                _announce(facts, as_json)
                threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("FLStore has stopped.", err=True)


def _announce(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts))
        return
    rows = Table.grid(padding=(0, 2))
    for name in ("url", "docs", "store", "shards"):
        rows.add_row(f"[bold]{name}", str(facts[name]))
    rows.add_row("[bold]stop", "Ctrl-C")
    Console().print(Panel(rows, title="FLStore is up", expand=False))
