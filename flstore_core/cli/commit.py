"""`flstore commit`."""

from collections.abc import Sequence
from typing import Any

import click

from flstore_core.cli.session import Session, connected
from flstore_core.cli.values import base_option, merged, pairs


@click.command("commit")
@click.argument("job")
@click.argument("round_", metavar="ROUND", type=int)
@pairs("-m", "--metric", "metrics", help="Such as accuracy=0.93.")
@pairs("-p", "--hyperparameter", "hyperparameters", help="Such as lr=0.01.")
@click.option("--participant", "participants", multiple=True, help="A client whose update must be stored.")
@click.option("--allow-empty", is_flag=True, help="Commit a round that has neither updates nor an aggregate.")
@base_option
@connected
def commit_command(
    session: Session,
    job: str,
    round_: int,
    metrics: Sequence[tuple[str, Any]],
    hyperparameters: Sequence[tuple[str, Any]],
    participants: tuple[str, ...],
    allow_empty: bool,
    base: str | None,
) -> None:
    """Commit ROUND of JOB, after which it cannot change."""
    record = session.client.commit(
        job,
        round_,
        metrics=merged(metrics),
        hyperparameters=merged(hyperparameters),
        participants=participants or None,
        allow_empty=allow_empty,
        base=base,
    )
    aggregate = "with" if record.aggregate else "without"
    session.show(record, f"round {record.number} is committed: {len(record.members)} updates, {aggregate} an aggregate")
