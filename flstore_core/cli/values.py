"""Arguments of commands: `key=value` pairs, and models in files."""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import click
from numpy.lib.format import write_array
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from flstore_core import codec
from flstore_core.client import Arrays
from flstore_core.client.tensors import schema_of
from flstore_core.errors import InvalidParameters
from flstore_core.header import MAX_PADDED_BYTES
from flstore_core.schema import Schema

Command = TypeVar("Command", bound=Callable[..., Any])

SUFFIXES = (".safetensors", ".npz")

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


base_option = click.option(
    "--base",
    help="The model that the round's deltas are taken against: an earlier round, whose aggregate it is, the SHA-256 of "
    "an aggregate, or none. By default the aggregate of the newest earlier round that has one.",
)


def pairs(*names: str, help: str) -> Callable[[Command], Command]:  # noqa: A002 - click's own word
    """Return a repeatable option of `key=value` pairs: each value is read as JSON if it is JSON, else as text."""
    return click.option(*names, type=_pair, multiple=True, metavar="KEY=VALUE", help=help)


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is not of the form key=value")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value


def merged(key_values: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return pairs as one object; raise `InvalidParameters` for a repeated key."""
    values = dict(key_values)
    if len(values) < len(key_values):
        raise InvalidParameters(f"a key is given twice in {', '.join(key for key, _ in key_values)}")
    return values


def tensors_in(path: Path) -> Arrays | Path:
    """Return a model for the client to send: the path of a .safetensors file, or the arrays of an .npz file.

    Raises:
        InvalidParameters: for other files, and for arrays of Python objects, since nothing is ever unpickled.
    """
    if path.suffix == ".safetensors":
        return path
    if path.suffix != ".npz":
        raise InvalidParameters(f"file {str(path)!r} is not usable; give a {' or '.join(SUFFIXES)} file")
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # zipfile, its decompressors and NumPy have a dozen ways to say that a file is corrupt
        raise InvalidParameters(f"file {str(path)!r} cannot be read: {error or type(error).__name__}") from error


def save_npz(file: IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as `numpy.savez` does, whose keyword arguments cannot have every name: `file` is one of its own."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                write_array(entry, array, allow_pickle=False)


def schema_in(path: Path) -> Schema:
    """Return the schema of the tensors in a file; of a .safetensors file only the header is read."""
    tensors = tensors_in(path)
    if isinstance(tensors, Mapping):
        return schema_of(tensors)
    with path.open("rb") as file:
        start = file.read(8)
        length = min(int.from_bytes(start, "little"), MAX_PADDED_BYTES)
        return codec.parse_header(memoryview(start + file.read(length))).schema
