"""`python -m loadgen replay`: does a running FLStore hit as often as the simulator says?"""

import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from flstore_core.cache import Ledger
from flstore_core.client import FLStore
from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.patterns import Pattern
from flstore_core.policies import Policy
from flstore_core.policies.registry import make_policy
from flstore_core.simulator import Trace, read_trace
from flstore_core.simulator.replay import TraceClock, replay
from loadgen.replay.replay import TOLERANCE, Piece, Player, cut, inventories, live_counts, parted, timed
from services.local.running import running

RECORDS_BYTES = 256 * 2**20
"""Budget of the gateway's cache, as by default."""

Counts = Mapping[Pattern, tuple[int, int]]
"""Requests and hits by pattern."""


@dataclass(frozen=True)
class Compared:
    """Hit rates of one pattern, or of all."""

    name: str
    requests: int
    live: float
    simulated: float
    traced: float
    """Simulated at the trace's own times and sizes, with its workloads' names and the metadata in the same cache."""

    @property
    def agree(self) -> bool:
        """Within the tolerance; of fewer than a hundred requests one may differ, since half of one cannot."""
        return abs(self.live - self.simulated) <= max(TOLERANCE, 1.001 / self.requests)


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
        piece = cut(read_trace(trace), hours * 3600, shrink)
        with one_shard(target, piece.budget(rounds), policy) as url, FLStore(url) as client:
            rows = compare(client, piece, rounds, policy, speed)
    except FLStoreError as error:
        raise click.ClickException(error.detail) from error
    Console().print(_table(rows))
    sys.exit(0 if all(row.agree for row in rows) else 1)


def compare(client: FLStore, piece: Piece, rounds: float, policy: str, speed: float) -> list[Compared]:
    """Replay `piece` live, then in the simulator at the times that it took; return hit rates by pattern and of all."""
    times = Player(client, piece, speed).play()
    caches = client.cache()
    _check(inventories(caches), piece.budget(rounds))
    live = live_counts(caches)
    simulated = _simulated(timed(piece, times), piece.budget(rounds), policy)
    traced = _counts(replay(piece.original, *_managed(policy, piece.original_budget(rounds))))
    asked = [pattern for pattern in Pattern if simulated[pattern][0]]
    groups = [*((pattern.value, [pattern]) for pattern in asked), ("all", asked)]
    return [_row(name, patterns, live, simulated, traced) for name, patterns in groups]


def _simulated(trace: Trace, budget: int, policy: str) -> Counts:
    shard, gateway = parted(trace)
    shards = _counts(replay(shard, *_managed(policy, budget)))
    gateways = _counts(replay(gateway, *_managed("tailored", RECORDS_BYTES)))
    return {**shards, Pattern.P4: gateways[Pattern.P4]}


def _counts(ledger: Ledger) -> Counts:
    return {pattern: (tally.requests, tally.hits) for pattern, tally in ledger.tallies.items()}


def _managed(policy: str, budget: int) -> tuple[Policy, int, TraceClock]:
    clock = TraceClock()
    return make_policy(policy, budget, clock, random.Random(0)), budget, clock


def _row(name: str, patterns: list[Pattern], live: Counts, *simulated: Counts) -> Compared:
    requests = sum(simulated[0][pattern][0] for pattern in patterns)
    asked = sum(live[pattern][0] for pattern in patterns)
    if asked != requests:
        raise InvalidParameters(f"the target counted {asked} requests of {requests}; use a fresh one")
    rates = [sum(counts[pattern][1] for pattern in patterns) / requests for counts in (live, *simulated)]
    return Compared(name, requests, *rates)


def _check(shards: list[dict[str, Any]], budget: int) -> None:
    budgets = [shard["budget_bytes"] for shard in shards]
    if budgets != [budget]:
        raise InvalidParameters(f"the target's shards have budgets of {budgets} bytes; use one shard of {budget}")


@contextmanager
def one_shard(url: str | None, budget: int, policy: str) -> Iterator[str]:
    """Yield the URL of an FLStore with one shard of `budget`: the one given, or one that is started for the block."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with running(
            f"{folder}/store", shards=1, cache_size=str(budget), policy=policy, idle_seconds=0, log=log
        ) as started:
            yield started


def _table(rows: list[Compared]) -> Table:
    table = Table("pattern", "requests", "live", "simulated", "agree", "at the trace's own pace")
    for row in rows:
        agree = "yes" if row.agree else "[red]no[/red]"
        table.add_row(
            row.name, str(row.requests), f"{row.live:.3f}", f"{row.simulated:.3f}", agree, f"{row.traced:.3f}"
        )
    return table
