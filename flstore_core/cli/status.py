"""`flstore status`."""

from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.table import Table

from flstore_core.cli.session import Session, connected
from flstore_core.cli.tables import percent, table
from flstore_core.client import JobInfo
from flstore_core.patterns import Pattern
from flstore_core.units import format_size


@click.command("status")
@connected
def status_command(session: Session) -> None:
    """Show shards, what they hold, and hit rates.

    This wakes no shard.
    """
    cache, placement = session.client.cache().raw, session.client.placement().raw
    jobs = session.client.jobs()
    data = {"shards": cache["shards"], "gateway": cache["gateway"], "placement": placement, "jobs": jobs}
    session.show(data, _shards(cache), _jobs(jobs, placement))


def _shards(cache: Mapping[str, Any]) -> Table:
    columns = ["shard", "state", "last start", "holds", "of", "objects", "hit rate", *(p.value for p in Pattern)]
    return table("Shards", columns, [list(_shard(row)) for row in cache["shards"]])


def _shard(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (row["shard"], row["state"], _last_start(row.get("last_start")))
    inventory = row.get("inventory") or {}
    yield format_size(inventory["used_bytes"]) if "used_bytes" in inventory else "-"
    yield format_size(inventory["budget_bytes"]) if "budget_bytes" in inventory else "-"
    yield str(inventory.get("objects", "-"))
    for name in ("overall", *Pattern):
        tally = inventory.get(name) or {}
        yield percent(tally["hit_rate"]) if tally.get("requests") else "-"


def _last_start(start: Mapping[str, Any] | None) -> str:
    """Return why a shard was started the last time, and how long that took: `restart (OOMKilled), 3.2 s`."""
    if not start:
        return "-"
    reason = f" ({start['reason']})" if start["reason"] else ""
    return f"{start['cause']}{reason}, {start['seconds']:.1f} s"


def _jobs(jobs: list[JobInfo], placement: Mapping[str, Any]) -> Table:
    columns = ["job", "parameters", "update", "committed", "open", "latest", "slices", "replicas", "on shards"]
    return table("Jobs", columns, [_job(job, placement["jobs"].get(job.job)) for job in jobs])


def _job(job: JobInfo, placed: Mapping[str, Any] | None) -> list[Any]:
    facts = [job.job, f"{job.parameters:,}", format_size(job.nbytes), job.committed, list(job.open), job.latest]
    if placed is None:
        return [*facts, None, None, "not placed yet"]
    owners = sorted({shard for owners in placed["owners"] for shard in owners})
    return [*facts, placed["slices"], placed["replicas"], owners]
