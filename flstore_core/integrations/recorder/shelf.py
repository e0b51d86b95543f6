"""Models that wait to be stored: in memory up to a bound, beyond it in files, up to another bound."""

import itertools
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from flstore_core.client.bodies import FileBody
from flstore_core.client.tensors import body_of
from flstore_core.integrations.recorder.limits import Limits

Model: TypeAlias = Mapping[str, Any] | Path
"""Arrays by name, or the path of a safetensors file."""


@dataclass(frozen=True, eq=False)
class Held:
    """A model that waits, with the bytes that it takes."""

    model: Model
    nbytes: int

    @property
    def sha256(self) -> str:
        """Of the safetensors file, in hexadecimal."""
        return (FileBody.of(self.model) if isinstance(self.model, Path) else body_of(self.model)).sha256


class Shelf:
    """Holds models. Safe to share between threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._in_memory = 0
        self._on_disk = 0
        self.folder: Path | None = None
        """Where the files are; None as long as there was none."""

    def hold(self, model: Mapping[str, Any]) -> Held | None:
        """Take a model, into memory if there is room, else onto disk; return None if there is none either.

        Raises:
            InvalidParameters: if it is no model.
            OSError: if the file cannot be written.
        """
        nbytes = body_of(model).nbytes
        with self._lock:
            if self._in_memory + nbytes <= self._limits.memory_bytes:
                self._in_memory += nbytes
                return Held(model, nbytes)
        return self._write(model, nbytes)

    def has_room(self, model: Mapping[str, Any]) -> bool:
        """Return whether a model could be taken now."""
        nbytes = body_of(model).nbytes
        with self._lock:
            memory, disk = self._in_memory + nbytes, self._on_disk + nbytes
            return memory <= self._limits.memory_bytes or disk <= self._limits.spool_bytes

    def release(self, held: Held) -> None:
        """Let go of a model, and remove its file."""
        if isinstance(held.model, Path):
            held.model.unlink(missing_ok=True)
        with self._lock:
            if isinstance(held.model, Path):
                self._on_disk -= held.nbytes
            else:
                self._in_memory -= held.nbytes

    def clear(self) -> None:
        """Remove all files."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, model: Mapping[str, Any], nbytes: int) -> Held | None:
        with self._lock:
            if self._on_disk + nbytes > self._limits.spool_bytes:
                return None
            self._on_disk += nbytes
            self.folder = self.folder or self._new_folder()
        path = self.folder / f"{next(self._numbers)}.safetensors"
        try:
            write_model(path, model)
        except OSError:
            self.release(Held(path, nbytes))
            raise
        return Held(path, nbytes)

    def _new_folder(self) -> Path:
        if self._limits.spool:
            self._limits.spool.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="flstore-", dir=self._limits.spool))


def write_model(path: Path, model: Mapping[str, Any]) -> None:
    """Write a model as a safetensors file."""
    with path.open("wb") as file:
        for chunk in body_of(model).chunks():
            file.write(chunk)
