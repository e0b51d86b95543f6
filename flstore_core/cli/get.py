"""`flstore get`."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from flstore_core import codec
from flstore_core.cli.session import Session, connected
from flstore_core.cli.values import SUFFIXES, save_npz
from flstore_core.client.naming import in_order
from flstore_core.errors import InvalidParameters
from flstore_core.ids import AGGREGATE, encode
from flstore_core.local_files import writing
from flstore_core.units import format_size


@click.command("get")
@click.argument("job")
@click.argument("round_", metavar="ROUND", type=int)
@click.argument("client", default=AGGREGATE)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="By default CLIENT.safetensors.")
@connected
def get_command(session: Session, job: str, round_: int, client: str, output: Path | None) -> None:
    """Fetch the update of CLIENT in ROUND of JOB; without CLIENT, the model the round ended with.

    The file is checked against its hash. With `-o NAME.npz` it is written for NumPy, bfloat16 widened to float32.
    """
    path = output or Path(f"{encode(client)}.safetensors")
    if path.suffix not in SUFFIXES:
        raise InvalidParameters(f"output {str(path)!r} is not usable; name a {' or '.join(SUFFIXES)} file")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=session.as_json or not console.is_terminal) as bars:
        task = bars.add_task(escape(client), total=None)
        body = session.client.download_raw(
            job, round_, client, progress=lambda done, total: bars.update(task, completed=done, total=total)
        )
    _write(path, body, [tensor["name"] for tensor in session.client.job(job).schema] if path.suffix == ".npz" else [])
    session.show({"path": str(path), "nbytes": len(body)}, f"{path}: {format_size(len(body))}")


def _write(path: Path, body: bytearray, names: Sequence[str]) -> None:
    """Write a model to a file, the arrays of an .npz file in the order of `names`."""
    arrays = in_order(codec.loads(memoryview(body))[0], names) if path.suffix == ".npz" else None
    with writing(path), path.open("wb") as file:
        if arrays is None:
            file.write(body)
        else:
            save_npz(file, arrays)
