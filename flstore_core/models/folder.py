"""A model as a folder: `fetching` writes it, and a predictor that has no store serves it.

    program.pt2          the program, as `torch.export.save` wrote it
    model.safetensors    the weights: a whole model, also where the job stores differences
    flstore.json         which model of which job that is, and sizes and hashes of both files

    {"format": 1, "job": "digits", "model": "3:client-7",
     "program": {"sha256": "9f86…", "nbytes": 20480}, "weights": {"sha256": "2c26…", "nbytes": 178216}}

`flstore.json` is removed first and written last: where it is, both files are whole. No name of a file comes from
outside, and who reads the folder believes nothing of it before sizes and hashes are those that `flstore.json` says.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.formats import require_format
from flstore_core.ids import JobId, job_id
from flstore_core.local_files import writing
from flstore_core.model_names import ModelName

PROGRAM, WEIGHTS, CONTENTS = "program.pt2", "model.safetensors", "flstore.json"
MAX_CONTENTS_BYTES = 4096
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class File:
    """What a file has to be."""

    sha256: str
    """In hexadecimal."""
    nbytes: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256) or type(self.nbytes) is not int or self.nbytes < 0:
            raise ValueError(f"{self.sha256!r:.80} and {self.nbytes!r:.40} are no hash and size")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a folder holds. A later version may say more of it, which is passed over."""

    job: JobId
    model: ModelName
    program: File
    weights: File

    @property
    def nbytes(self) -> int:
        return self.program.nbytes + self.weights.nbytes

    def described(self) -> dict[str, Any]:
        """Return what `flstore.json` says, as JSON values."""
        return {"format": 1, **asdict(self), "model": str(self.model)}

    def encode(self) -> bytes:
        return json.dumps(self.described()).encode()

    @classmethod
    def decode(cls, content: bytes) -> "Contents":
        data = json.loads(content)
        require_format(CONTENTS, data)
        program, weights = (File(data[name]["sha256"], data[name]["nbytes"]) for name in ("program", "weights"))
        return cls(job_id(data["job"]), ModelName.parse(data["model"]), program, weights)


def read_contents(folder: Path) -> Contents:
    """Return what a folder holds, as it says itself; raise `InvalidParameters` if it says nothing usable."""
    path = folder / CONTENTS
    try:
        with path.open("rb") as file:
            return Contents.decode(file.read(MAX_CONTENTS_BYTES))
    except OSError as error:
        raise InvalidParameters(
            f"file {str(path)!r} cannot be read ({error.strerror}); `flstore fetch-model` writes such a folder"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, FLStoreError) as error:
        raise InvalidParameters(
            f"file {str(path)!r} does not say what the folder holds ({type(error).__name__}: {error!s:.200}); let "
            "`flstore fetch-model` write the folder again"
        ) from error


def write_contents(folder: Path, contents: Contents) -> None:
    """Say what a folder holds, once its files are in place."""
    with created(folder, CONTENTS) as file:
        file.write(contents.encode())


def clear(folder: Path) -> None:
    """Make a folder that is about to be filled, and take away what says that it is."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONTENTS).unlink(missing_ok=True)


@contextmanager
def created(folder: Path, name: str) -> Iterator[BinaryIO]:
    """Yield a new file, which takes the place of what has that name once the block has ended without an error.

    Its bytes never go where a link that lies there leads. Everybody may read it: a pod's containers may be other users.
    """
    path, part = folder / name, folder / f"{name}.part"
    with writing(path):
        part.unlink(missing_ok=True)
        try:
            with open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), "w+b") as file:
                yield file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
