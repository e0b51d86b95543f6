"""`flstore import`."""

from pathlib import Path

import click

from flstore_core.archives import import_job
from flstore_core.cli.moving import shown
from flstore_core.cli.session import Session, connected_for_long
from flstore_core.cli.values import FILE
from flstore_core.presentation import counted, legible
from flstore_core.units import format_size


@click.command("import")
@click.argument("archive", type=FILE)
@click.option("--as", "name", help="The job's name; by default the one that it had.")
@click.option(
    "--fingerprint", help="The one that `flstore export archive` has shown; an archive with another is refused."
)
@connected_for_long
def import_command(session: Session, archive: Path, name: str | None, fingerprint: str | None) -> None:
    """Put the job that is in the file ARCHIVE into an FLStore.

    The archive is checked whole before anything is sent. Run it again to go on after an interruption. A job of that
    name that is another one is left as it is.
    """
    with shown(quiet=session.as_json) as progress:
        imported = import_job(session.client, archive, name=name, fingerprint=fingerprint, progress=progress)
    sent = f"{counted(imported.sent, 'file')} sent, {format_size(imported.nbytes)}"
    remarks = (f"note: {legible(remark)}" for remark in imported.remarks)
    session.show(imported, f"job {legible(imported.job)}: {counted(imported.rounds, 'round')}; {sent}", *remarks)
