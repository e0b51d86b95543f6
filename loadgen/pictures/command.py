"""`python -m loadgen pictures`, behind `make pictures`."""

from pathlib import Path

import click

from loadgen.pictures.drawing import draw
from loadgen.pictures.files import kept


@click.command("pictures", context_settings={"show_default": True})
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("docs"))
def pictures_command(folder: Path) -> None:
    """Draw all pictures below FOLDER anew from the data beside them; measure nothing."""
    for path, picture in kept(folder):
        path.write_text(draw(picture), encoding="utf-8")
        click.echo(str(path))
