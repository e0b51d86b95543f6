"""`python -m loadgen replay`: does a running FLStore hit as often as the simulator says?"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from flstore_core.client import FLStore
from flstore_core.errors import FLStoreError
from flstore_core.simulator import read_trace
from loadgen.replay.excerpt import cut
from loadgen.replay.hit_rates import HitRates, compare
from services.local.running import running


class Shrink(click.ParamType[Fraction]):
    """A fraction such as 1/1000."""

    name = "fraction"

    def convert(self, value: str | Fraction, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        try:
            fraction = Fraction(value)
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is no fraction; write one such as 1/1000", param, ctx)
        if not 0 < fraction <= 1:
            self.fail(f"{value} is not more than 0 and at most 1", param, ctx)
        return fraction


@click.command("replay", context_settings={"show_default": True})
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--hours", default=1.0, help="Only the trace's first hours.")
@click.option("--speed", default=60.0, type=click.FloatRange(0, min_open=True), help="Seconds of trace in a second.")
@click.option("--shrink", default="1/1000", type=Shrink(), help="Size of the models now; the cache shrinks too.")
@click.option("--rounds", default=2.0, help="Budget of the cache: rounds of updates with their aggregates.")
@click.option("--policy", default="tailored")
@click.option("--target", help="URL of a fresh FLStore with one shard of that budget; by default one is started.")
def replay_command(
    trace: Path, hours: float, speed: float, shrink: Fraction, rounds: float, policy: str, target: str | None
) -> None:
    """Replay TRACE live and compare hit rates with the simulator's; exit code 1 if any differ by more than 0.01.

    Of a pattern with fewer than a hundred requests, one may differ.
    """
    try:
        excerpt = cut(read_trace(trace), hours * 3600, shrink)
        with one_shard(target, excerpt.budget(rounds), policy) as url, FLStore(url) as client:
            rows = compare(client, excerpt, rounds, policy, speed)
    except FLStoreError as error:
        raise click.ClickException(error.detail) from error
    Console().print(_table(rows))
    sys.exit(0 if all(row.agree for row in rows) else 1)


@contextmanager
def one_shard(url: str | None, budget: int, policy: str) -> Iterator[str]:
    """Yield the URL of an FLStore with one shard of `budget` bytes: `url`, or, if None, one started for the block."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with running(
            f"{folder}/store", shards=1, cache_size=str(budget), policy=policy, idle_seconds=0, log=log
        ) as started:
            yield started.gateway


def _table(rows: list[HitRates]) -> Table:
    table = Table("pattern", "requests", "live", "simulated", "agree", "at the trace's own pace")
    for row in rows:
        agree = "yes" if row.agree else "[red]no[/red]"
        table.add_row(
            row.name, str(row.requests), f"{row.live:.3f}", f"{row.simulated:.3f}", agree, f"{row.traced:.3f}"
        )
    return table
