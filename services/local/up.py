"""`flstore up`."""

import json
import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flstore_core.cli.session import json_option, reported
from services.local.console import MISSING, can_show, console_listening
from services.local.running import running
from services.local.settings import HOST, warnings
from services.local.sockets import url_of

STORE = ".flstore/store"
PORT = 8080


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
    "--root-path",
    envvar="FLSTORE_ROOT_PATH",
    show_envvar=True,
    metavar="PREFIX",
    help="Path below which a proxy has the gateway, such as /flstore, if the proxy sends no X-Forwarded-Prefix.",
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
@click.option("--console/--no-console", default=True, help="Whether to show the system in a browser.")
@json_option
def up_command(*, idle: float, as_json: bool, console: bool, **options: Any) -> None:
    """Run FLStore on this machine until Ctrl-C.

    Gateway, placement controller and shards run as processes; the first request that needs a shard starts it. What
    docs/settings.md lists is read from the environment where no option says otherwise. With --json, one line of JSON
    gives the address once the gateway answers.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets its background jobs ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    with reported(as_json):
        chosen = {"FLSTORE_STORE": options["store"], "FLSTORE_HOST": options["host"]}
        for warning in warnings({**os.environ, **chosen}):
            click.echo(f"warning: {warning}", err=True)
        try:
            with ExitStack() as stack:
                shown = stack.enter_context(console_listening(options["host"])) if console and can_show() else None
                url, controller = stack.enter_context(running(**options, idle_seconds=idle, console=shown))
                chosen = {name: options[name] for name in ("store", "shards")}
                metrics = [f"{url}/metrics", f"{controller}/metrics"]
                facts = {"url": url, "docs": f"{url}/docs", "metrics": metrics, **chosen, "pid": os.getpid()}
                _announce(facts | {"console": url_of(shown) if shown else None}, as_json, wanted=console)
                threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("FLStore has stopped.", err=True)


def _announce(facts: dict[str, object], as_json: bool, *, wanted: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts))
        return
    rows = Table.grid(padding=(0, 2))
    for name in ("url", "docs", "store", "shards"):
        rows.add_row(Text(name, "bold"), Text(str(facts[name])))  # a path may contain what rich reads as markup
    if wanted:
        rows.add_row(Text("console", "bold"), Text(str(facts["console"] or MISSING)))
    rows.add_row(Text("stop", "bold"), "Ctrl-C")
    Console().print(Panel(rows, title="FLStore is up", expand=False))
