"""`flstore erase`."""

import click

from flstore_core.cli.session import Session, connected
from flstore_core.client import Erasure

_REMOVED = {
    "updates": ("update", "updates"),
    "artifacts": ("model made of them", "models made of them"),
    "operations": ("result of an operation", "results of operations"),
}
"""What is told of what went, in words for one and for several."""


@click.command("erase")
@click.argument("job")
@click.argument("client")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@connected
def erase_command(session: Session, job: str, client: str, yes: bool) -> None:
    """Erase all that CLIENT sent to JOB, and what was made of it; say what remains."""
    if not yes:
        click.confirm(f"Erase {client} from job {job}, with all models made of its updates?", abort=True, err=True)
    erasure = session.client.erase_client(job, client)
    session.show(erasure, "\n".join(_told(job, erasure)))


def _told(job: str, erasure: Erasure) -> list[str]:
    counts = [_counted(erasure.removed[kind], *words) for kind, words in _REMOVED.items() if erasure.removed.get(kind)]
    said = [
        f"erased {erasure.client} from job {job}: {', '.join(counts) or _counted(erasure.objects, 'object', 'objects')}"
    ]
    if aggregates := erasure.remains.get("aggregates"):
        said.append(f"remains: what it added to the aggregates of rounds {', '.join(map(str, aggregates))}")
    said += [f"remains: audit record {key}" for key in erasure.remains.get("audit_records", [erasure.tombstone])]
    if reason := erasure.remains.get("old_versions"):
        said.append(f"may remain: old versions in the store: {reason}")
    if elsewhere := erasure.remains.get("elsewhere"):
        said.append(f"out of reach: {elsewhere}")
    return said


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
