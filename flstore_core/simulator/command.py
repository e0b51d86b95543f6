"""`flstore simulate`."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from flstore_core.errors import FLStoreError
from flstore_core.patterns import Pattern
from flstore_core.simulator.report import Result, simulate, simulated_policies, to_json
from flstore_core.simulator.trace import read_trace
from flstore_core.units import format_size, parse_size

DEFAULT_POLICIES = "tailored,lru,lru+arrival,belady"


@click.command("simulate", epilog="Policies: " + ", ".join(simulated_policies()))
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--policy", "policies", default=DEFAULT_POLICIES, show_default=True, help="Names, separated by commas.")
@click.option("--budget", default="2GiB", show_default=True, help="Room in the cache, such as 512MiB.")
@click.option("--seed", default=0, show_default=True, help="For policies that draw lots.")
@click.option("--json", "output", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too.")
def simulate_command(trace: Path, policies: str, budget: str, seed: int, output: Path | None) -> None:
    """Replay TRACE, a file of JSON lines, through caching policies and compare their hit rates."""
    try:
        room = parse_size(budget)
        replayed = read_trace(trace)
        results = simulate(replayed, [name.strip() for name in policies.split(",")], room, seed)
    except FLStoreError as error:
        raise click.ClickException(error.detail) from error
    if output is not None:
        output.write_text(json.dumps(to_json(results), indent=2) + "\n", encoding="utf-8")
    Console().print(_table(f"{trace.name}: {replayed.lines} events, {format_size(room)} of cache", results))


def _table(title: str, results: Sequence[Result]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("policy")
    headings = ["hits", "misses", "hit rate", *Pattern, "keys", "bytes", "evictions", "prefetches", "used", "wasted"]
    for heading in headings:
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(result.policy, *_cells(result))
    return table


def _cells(result: Result) -> list[str]:
    overall = result.overall
    rates = overall.to_json()
    patterns = (tally.to_json()["hit_rate"] if tally.requests else None for tally in result.patterns.values())
    counts = (overall.evictions, overall.prefetches, overall.prefetches_used, overall.prefetches_wasted)
    return [
        str(overall.hits),
        str(overall.requests - overall.hits),
        _percent(rates["hit_rate"]),
        *map(_percent, patterns),
        _percent(rates["key_hit_rate"]),
        _percent(rates["byte_hit_rate"]),
        *map(str, counts),
    ]


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}%"
