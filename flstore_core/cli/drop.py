"""`flstore drop`."""

import click

from flstore_core.cli.session import Session, connected
from flstore_core.ids import AGGREGATE


@click.command("drop")
@click.argument("job")
@click.argument("round_", metavar="ROUND", type=int)
@click.argument("client", required=False)
@click.option("--aggregate", is_flag=True, help="Take the round's aggregate back.")
@click.option("--all", "everything", is_flag=True, help="Take all updates and the aggregate back.")
@connected
def drop_command(
    session: Session, job: str, round_: int, client: str | None, aggregate: bool, everything: bool
) -> None:
    """Take CLIENT's update to ROUND of JOB back, as long as the round is open."""
    if (client is not None) + aggregate + everything != 1:
        raise click.UsageError("name a client, or give --aggregate or --all")
    if everything:
        dropped = session.client.drop_round(job, round_)
    elif aggregate:
        session.client.drop_aggregate(job, round_)
        dropped = [str(AGGREGATE)]
    else:
        assert client is not None
        session.client.drop_update(job, round_, client)
        dropped = [client]
    said = f"taken back from round {round_}: {', '.join(dropped)}" if dropped else f"round {round_} was empty"
    session.show({"job": job, "round": round_, "dropped": dropped}, said)
