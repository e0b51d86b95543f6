"""`flstore jobs`."""

from pathlib import Path
from typing import Literal

import click

from flstore_core.cli.lazy import ListingGroup
from flstore_core.cli.session import Session, connected, wide_option
from flstore_core.cli.tables import pairs, table
from flstore_core.cli.values import FILE, schema_in
from flstore_core.presentation import spans, tidy
from flstore_core.units import format_size


@click.group("jobs", cls=ListingGroup)
def jobs_group() -> None:
    """List, show, create and delete jobs.

    `flstore jobs` lists them, `flstore jobs NAME` shows one.
    """


@jobs_group.command("list")
@wide_option
@connected
def list_command(session: Session, wide: bool) -> None:
    """List all jobs."""
    jobs = session.client.jobs()
    columns = ["job", "parameters", "update", "committed", "latest", "open"]
    rows = [
        [job.job, f"{job.parameters:,}", format_size(job.nbytes), job.committed, job.latest, spans(job.open)]
        for job in jobs
    ]
    session.show(jobs, table("", columns, rows, wide))


@jobs_group.command("show")
@click.argument("job")
@connected
def show_command(session: Session, job: str) -> None:
    """Show one JOB and its rounds."""
    info, rounds = session.client.job(job), session.client.rounds(job)
    settings = {name: value for name, value in vars(info).items() if name not in ("schema", "placement")}
    tensors = table("Tensors", ["name", "dtype", "shape"], [[t["name"], t["dtype"], t["shape"]] for t in info.schema])
    columns = ["round", "committed", "clients", "base"]
    listed = table("Rounds", columns, [[r.round, r.committed, r.clients, r.base] for r in rounds])
    session.show({**vars(info), "rounds": rounds}, pairs(tidy(settings).items()), "", tensors, "", listed)


@jobs_group.command("create")
@click.argument("job")
@click.option(
    "--like", type=FILE, required=True, help="A model in a .safetensors or .npz file: what updates look like."
)
@click.option("--statistics", type=click.Choice(["exact", "off"]), default="exact", show_default=True)
@click.option(
    "--updates",
    type=click.Choice(["weights", "delta"]),
    help="What clients send: models, or differences from the model that the round started from. By default models, "
    "unless a round's aggregate shows otherwise.",
)
@click.option("--weight-key", help="The metric that weighs a client in FedAvg, before num_examples.")
@click.option("--clients-per-round", type=int, default=10, show_default=True)
@click.option("--hot-rounds", type=int, default=2, show_default=True, help="Committed rounds to keep in memory.")
@click.option("--replicas", type=int, default=1, show_default=True, help="Shards that hold each slice.")
@click.option("--slices", type=int, help="Parts to cut the parameters into; planned if not given.")
@connected
def create_command(
    session: Session,
    job: str,
    like: Path,
    statistics: str,
    updates: Literal["weights", "delta"] | None,
    weight_key: str | None,
    clients_per_round: int,
    hot_rounds: int,
    replicas: int,
    slices: int | None,
) -> None:
    """Create JOB."""
    info = session.client.create_job(
        job,
        schema=schema_in(like),
        statistics=statistics,
        updates=updates,
        weight_key=weight_key,
        clients_per_round=clients_per_round,
        hot_rounds=hot_rounds,
        replicas=replicas,
        slices=slices,
    )
    session.show(info, f"job {info.job}: {info.parameters:,} parameters, {format_size(info.nbytes)} an update")


@jobs_group.command("delete")
@click.argument("job")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@connected
def delete_command(session: Session, job: str, yes: bool) -> None:
    """Remove JOB and everything stored for it."""
    if not yes:
        click.confirm(f"Remove job {job} and all its rounds?", abort=True, err=True)
    session.client.delete_job(job)
    session.show({"deleted": job}, f"job {job} is removed")
