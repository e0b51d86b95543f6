"""Folders of models, as `flstore fetch-model` leaves them."""

import hashlib
from pathlib import Path

import numpy as np

from flstore_core import codec
from flstore_core.ids import JobId
from flstore_core.model_names import ModelName
from flstore_core.models.folder import PROGRAM, WEIGHTS, Contents, File, write_contents
from tests.models.gateways import weights
from tests.models.small import program

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)


def fill(folder: Path, *, body: bytes | None = None, archive: bytes | None = None, model: str = "1") -> Path:
    """Write a folder with model 13 of the job `small`, or with other weights or another program; return it."""
    files = {
        PROGRAM: program() if archive is None else archive,
        WEIGHTS: codec.dumps(weights(13)) if body is None else body,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    told = (File(hashlib.sha256(content).hexdigest(), len(content)) for content in files.values())
    write_contents(folder, Contents(JobId("small"), ModelName.parse(model), *told))
    return folder
