"""`flstore simulate`."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from flstore_core.cache.tally import Tally
from flstore_core.errors import FLStoreError
from flstore_core.simulator.report import Result, simulate, simulated_policies, to_json
from flstore_core.simulator.trace import read_trace
from flstore_core.units import format_size, parse_size

HEADINGS = ("hits", "misses", "hit rate", "keys", "bytes", "evictions", "prefetches", "used", "wasted")
WIDTH = 110
"""Columns of the table where the output is no terminal."""
DEFAULT_POLICIES = "tailored,lru,lru+arrival,belady"


@click.command("simulate", epilog="Policies: " + ", ".join(simulated_policies()))
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--policy", "policies", default=DEFAULT_POLICIES, show_default=True, help="Names, separated by commas.")
@click.option("--budget", default="2GiB", show_default=True, help="Size of the cache, such as 512MiB.")
@click.option("--seed", default=0, show_default=True, help="For policies that choose at random.")
@click.option(
    "--json", "output", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures to this file."
)
def simulate_command(trace: Path, policies: str, budget: str, seed: int, output: Path | None) -> None:
    """Replay TRACE, a file of JSON lines, through caching policies and compare their hit rates."""
    try:
        budget_bytes = parse_size(budget)
        events = read_trace(trace)
        results = simulate(events, [name.strip() for name in policies.split(",")], budget_bytes, seed)
    except FLStoreError as error:
        raise click.ClickException(error.detail) from error
    if output is not None:
        _write(output, json.dumps(to_json(results), indent=2) + "\n")
    console = Console(markup=False, emoji=False)  # the file's name may contain what rich would read as markup
    wide = console if console.is_terminal else Console(width=WIDTH, markup=False, emoji=False)
    wide.print(_table(f"{trace.name}: {events.lines} events, {format_size(budget_bytes)} of cache", results))


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error


def _table(title: str, results: Sequence[Result]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("policy", no_wrap=True)
    table.add_column("of")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(result.policy, "all", *_cells(result.overall), style="bold")
        for pattern, tally in result.patterns.items():
            if tally.requests:
                table.add_row("", pattern.value, *_cells(tally))
        table.add_section()
    return table


def _cells(tally: Tally) -> list[str]:
    rates = tally.to_json()
    counts = (tally.evictions, tally.prefetches, tally.prefetches_used, tally.prefetches_wasted)
    return [
        str(tally.hits),
        str(tally.requests - tally.hits),
        *(f"{100 * rates[rate]:.1f}%" for rate in ("hit_rate", "key_hit_rate", "byte_hit_rate")),
        *map(str, counts),
    ]
