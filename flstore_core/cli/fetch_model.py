"""`flstore fetch-model`."""

from pathlib import Path

import click

from flstore_core.cli.session import Session, connected
from flstore_core.ids import AGGREGATE, decode
from flstore_core.model_names import ModelName
from flstore_core.models.fetching import Source, fetch
from flstore_core.units import format_size


@click.command("fetch-model")
@click.argument("uri")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@connected
def fetch_model_command(session: Session, uri: str, folder: Path) -> None:
    """Fetch a stored model and its program into FOLDER, from which a predictor serves them.

    URI is flstore://JOB/ROUND for the aggregate of a committed round, flstore://JOB/ROUND/CLIENT for a client's update,
    and flstore://JOB/latest for the newest aggregate. KServe runs this command as its storage initializer.
    """
    contents = fetch(session.client, Source.parse(uri), folder)
    said = f"{folder}: {_named(contents.model)} of job {decode(contents.job)}, {format_size(contents.nbytes)}"
    session.show({"folder": str(folder), **contents.described()}, said)


def _named(model: ModelName) -> str:
    if model.client == AGGREGATE:
        return f"the aggregate of round {model.round}"
    return f"the update of {decode(model.client)} in round {model.round}"
