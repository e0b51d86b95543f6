"""`flstore status`."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click
from rich.console import RenderableType

from flstore_core.cli.session import Session, connected, wide_option
from flstore_core.cli.tables import FittedTable, table
from flstore_core.client import JobInfo
from flstore_core.patterns import Pattern
from flstore_core.presentation import percent, spans
from flstore_core.units import format_size


@click.command("status")
@click.option("--starts", "with_starts", is_flag=True, help="Show the last ten starts of each shard, and why.")
@wide_option
@connected
def status_command(session: Session, with_starts: bool, wide: bool) -> None:
    """Show shards, what they hold, and hit rates.

    This wakes no shard. A shard at zero whose process ended unexpectedly shows how it ended.
    """
    cache, placement = session.client.cache().raw, session.client.placement().raw
    jobs = session.client.jobs()
    data = {"shards": cache["shards"], "gateway": cache["gateway"], "placement": placement, "jobs": jobs}
    starts: list[RenderableType] = [_starts(cache, wide), ""] if with_starts else []
    session.show(data, _shards(cache, wide), "", *starts, _jobs(jobs, placement, wide))


def _shards(cache: Mapping[str, Any], wide: bool) -> FittedTable:
    columns = ["shard", "state", "last start", "holds", "of", "hit rate", "objects", *(p.value for p in Pattern)]
    return table("Shards", columns, [list(_shard(row)) for row in cache["shards"]], wide)


def _shard(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (row["shard"], _state(row), _last_start(row.get("last_start")))
    inventory = row.get("inventory") or {}
    yield format_size(inventory["used_bytes"]) if "used_bytes" in inventory else "-"
    yield format_size(inventory["budget_bytes"]) if "budget_bytes" in inventory else "-"
    yield _hit_rate(inventory.get("overall"))
    yield str(inventory.get("objects", "-"))
    yield from (_hit_rate(inventory.get(pattern)) for pattern in Pattern)


def _hit_rate(tally: Mapping[str, Any] | None) -> str:
    return percent(tally["hit_rate"]) if tally and tally.get("requests") else "-"


def _state(row: Mapping[str, Any]) -> str:
    """Return what a shard is doing; at zero after an unexpected end, how that came: `zero (SIGKILL)`."""
    end = row.get("last_end")
    return f"{row['state']} ({end['reason']})" if end and not end["expected"] else str(row["state"])


def _starts(cache: Mapping[str, Any], wide: bool) -> FittedTable:
    """Return the recent starts of all shards, the newest first."""
    starts = [(start, row["shard"]) for row in cache["shards"] for start in row.get("recent_starts", ())]
    starts.sort(key=lambda pair: pair[0]["at"] or 0.0, reverse=True)
    rows = [
        [shard, _when(start["at"]), start["cause"], start["reason"] or "-", f"{start['seconds']:.1f} s"]
        for start, shard in starts
    ]
    columns = ["shard", "ready at", "cause", "reason", "took"]
    return table("Starts since the controller began, newest first", columns, rows, wide)


def _when(at: float | None) -> str:
    """Return a moment in this machine's time zone."""
    return "-" if at is None else f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"


def _last_start(start: Mapping[str, Any] | None) -> str:
    """Return why a shard was started the last time, and how long that took: `restart (OOMKilled), 3.2 s`."""
    if not start:
        return "-"
    reason = f" ({start['reason']})" if start["reason"] else ""
    return f"{start['cause']}{reason}, {start['seconds']:.1f} s"


def _jobs(jobs: list[JobInfo], placement: Mapping[str, Any], wide: bool) -> FittedTable:
    columns = ["job", "parameters", "update", "committed", "latest", "open", "on shards", "slices", "replicas"]
    return table("Jobs", columns, [_job(job, placement["jobs"].get(job.job)) for job in jobs], wide)


def _job(job: JobInfo, placed: Mapping[str, Any] | None) -> list[Any]:
    facts = [job.job, f"{job.parameters:,}", format_size(job.nbytes), job.committed, job.latest, spans(job.open)]
    if placed is None:
        return [*facts, "not placed yet", None, None]
    owners = sorted({shard for owners in placed["owners"] for shard in owners})
    return [*facts, owners, placed["slices"], placed["replicas"]]
