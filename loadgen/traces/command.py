"""`python -m loadgen trace`: writes a trace as JSON Lines."""

import json
from pathlib import Path

import click

from flstore_core.errors import FLStoreError
from loadgen.traces.arrivals import ARRIVALS
from loadgen.traces.generator import MODEL_BYTES, TraceSettings, generate
from loadgen.traces.mixes import MIXES
from loadgen.traces.samplers import SAMPLERS

_DEFAULT = TraceSettings()


@click.command("trace", context_settings={"show_default": True})
@click.option("--clients", default=_DEFAULT.clients, help="Clients of the job.")
@click.option("--per-round", default=_DEFAULT.per_round, help="Clients that train in a round.")
@click.option("--rounds", default=_DEFAULT.rounds)
@click.option(
    "--model", default=_DEFAULT.model, type=click.Choice(list(MODEL_BYTES)), help="Sets the bytes of an update."
)
@click.option("--requests", default=_DEFAULT.requests, help="Workload requests over the whole trace.")
@click.option("--hours", default=_DEFAULT.hours, help="Length of the training run.")
@click.option("--mix", default=_DEFAULT.mix, type=click.Choice(list(MIXES)), help="Whose habits the requests follow.")
@click.option("--arrivals", default=_DEFAULT.arrivals, type=click.Choice(list(ARRIVALS)))
@click.option(
    "--sampling", default=_DEFAULT.sampling, type=click.Choice(list(SAMPLERS)), help="How clients are picked."
)
@click.option("--job", default=_DEFAULT.job, help="Name of the job.")
@click.option("--seed", default=_DEFAULT.seed, help="Equal options and seeds give equal traces.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def trace_command(output: Path, **options: int | float | str) -> None:
    """Write a trace of training and requests, one JSON event a line, ordered by time."""
    try:
        events = generate(TraceSettings(**options))  # type: ignore[arg-type]  # click has checked each option's type
    except FLStoreError as error:
        raise click.ClickException(error.detail) from error
    with output.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(event, separators=(",", ":")) + "\n" for event in events)
    click.echo(f"{len(events)} events in {output}")
