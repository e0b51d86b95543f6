"""Reads a model's folder (`flstore_core.models.folder`), and believes nothing of it that it cannot check."""

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flstore_core.codec import parse
from flstore_core.errors import DigestMismatch, InvalidParameters, InvalidTensors
from flstore_core.ids import JobId
from flstore_core.model_names import ModelName
from flstore_core.models.base import Model, Program
from flstore_core.models.folder import PROGRAM, WEIGHTS, Contents, File
from flstore_core.models.memory import Memory


@dataclass(frozen=True)
class Stored:
    """A model and its program, in memory."""

    job: JobId
    name: ModelName
    program: Program
    model: Model


def read(folder: Path, contents: Contents) -> Stored:
    """Return what a folder holds.

    Raises:
        InvalidParameters: if a file cannot be read.
        DigestMismatch: if it is not the one that the folder says.
        InvalidTensors: if the weights are no model as gateways store them.
    """
    with _opened(folder / WEIGHTS, contents.weights) as view:
        header = parse(view)
        if not header.is_canonical:
            raise InvalidTensors("the tensors of a stored model lie in another order than the canonical one")
        model = Model(contents.weights.sha256, header.schema, Memory.of(view[header.data_offset :]))
    with _opened(folder / PROGRAM, contents.program) as view:
        program = Program(contents.job, header.schema, contents.program.sha256, Memory.of(view))
    return Stored(contents.job, contents.model, program, model)


@contextmanager
def _opened(path: Path, expected: File) -> Iterator[memoryview]:
    """Yield a file's bytes, mapped and not copied, once they are known to be those that are expected."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: the file is empty
        raise InvalidParameters(f"file {str(path)!r} cannot be read: {error}") from error
    with mapped, memoryview(mapped) as view:
        if (actual := File(hashlib.sha256(view).hexdigest(), len(view))) != expected:
            raise DigestMismatch(f"file {str(path)!r} is {actual}, and not {expected}; let it be fetched again")
        yield view
