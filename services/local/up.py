"""`flstore up`."""

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flstore_core.cli.session import json_option, reported
from flstore_core.environment import misspelt
from services.common.proof import LOOPBACK
from services.local.running import HOST, running

STORE = ".flstore/store"
PORT = 8080
OWN: Final = frozenset({"FLSTORE_PLACEMENT_URL", "FLSTORE_SHARD_ID", "FLSTORE_LISTEN_FD", "FLSTORE_LIFELINE_FD"})
"""Variables that every process of `flstore up` gets a value of its own for."""


@click.command("up")
@click.option(
    "--shards",
    type=click.IntRange(1, 1000),
    default=2,
    envvar="FLSTORE_SHARDS",
    show_envvar=True,
    show_default=True,
    help="Number of shards.",
)
@click.option(
    "--store",
    default=STORE,
    envvar="FLSTORE_STORE",
    show_envvar=True,
    show_default=True,
    metavar="DIR|s3://…",
    help="The object store.",
)
@click.option(
    "--host",
    default=HOST,
    envvar="FLSTORE_HOST",
    show_envvar=True,
    show_default=True,
    metavar="ADDRESS",
    help="Where the gateway listens; 0.0.0.0 for all of this machine's addresses.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    envvar="FLSTORE_PORT",
    show_envvar=True,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--cache-size",
    default="512MiB",
    envvar="FLSTORE_CACHE_BYTES",
    show_envvar=True,
    show_default=True,
    metavar="BYTES",
    help="Memory of each shard's cache.",
)
@click.option(
    "--policy",
    default="tailored",
    envvar="FLSTORE_POLICY",
    show_envvar=True,
    show_default=True,
    help="Caching policy of the shards.",
)
@click.option(
    "--idle",
    type=click.FloatRange(0),
    default=60.0,
    envvar="FLSTORE_IDLE_SECONDS",
    show_envvar=True,
    show_default=True,
    metavar="SECONDS",
    help="A shard goes to zero after so many seconds without a request; 0 for never.",
)
@click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False), help="File for the services' logs.  [default: stderr]"
)
@json_option
def up_command(*, idle: float, as_json: bool, **options: Any) -> None:
    """Run FLStore on this machine until Ctrl-C.

    Gateway, placement controller and shards run as processes; the first request that needs a shard starts it. What
    docs/settings.md lists is read from the environment where no option says otherwise. With --json, one line of JSON
    gives the address once the gateway answers.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets its background jobs ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    for warning in _warnings(options["host"], os.environ):
        click.echo(f"warning: {warning}", err=True)
    with reported(as_json):
        try:
            with running(**options, idle_seconds=idle) as (url, controller):
                chosen = {name: options[name] for name in ("store", "shards")}
                metrics = [f"{url}/metrics", f"{controller}/metrics"]
                facts = {"url": url, "docs": f"{url}/docs", "metrics": metrics, **chosen, "pid": os.getpid()}
                _announce(facts, as_json)
                threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("FLStore has stopped.", err=True)


def _warnings(host: str, env: Mapping[str, str]) -> Iterator[str]:
    """Yield what the user should know before anything is started."""
    yield from misspelt(env)
    for name in sorted(OWN & env.keys()):
        yield f"{name} is not used here; `flstore up` chooses it for each of its processes"
    if host not in LOOPBACK and not env.get("FLSTORE_TOKENS"):
        yield (
            f"the gateway listens at {host}, and whoever reaches it may read, change and delete everything; set "
            "FLSTORE_TOKENS (docs/security.md)"
        )


def _announce(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts))
        return
    rows = Table.grid(padding=(0, 2))
    for name in ("url", "docs", "store", "shards"):
        rows.add_row(Text(name, "bold"), Text(str(facts[name])))  # a path may contain what rich reads as markup
    rows.add_row(Text("stop", "bold"), "Ctrl-C")
    Console().print(Panel(rows, title="FLStore is up", expand=False))
