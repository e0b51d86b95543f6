"""Reads a `.pt2` archive without trusting it: a zip of stored entries, of which only JSON and raw tensors are opened.

This is the trust boundary for programs: the bytes come from whoever may upload. `torch.export.load` unpickles parts of
an archive, evaluates its symbolic shapes and loads libraries it may contain (docs/decisions/exported-programs.md), so
it is not used. What an attacker may try, and what stops it:

    a zip bomb                      every entry must be stored, not compressed: 1 MB of upload stays 1 MB
    two entries of one name         refused, so that no two readers see different files
    an entry outside the body       its header must lie where the directory says, its bytes within the body
    a pickle                        never opened; a tensor that is marked as pickled is refused
    compiled code                   refused by its folder, data/aotinductor/
    a tensor beyond its file        the last element of shape and strides must lie within the entry
    endless JSON                    64 MiB and two million values at most; too deep a nesting is caught

Example of a tensor beyond its file: a float32 tensor of shape (2, 3), strides (3, 1) and offset 1 has its last element
at 1 + 1·3 + 2·1 = 6, so the file must have (6 + 1) · 4 = 28 bytes; with 27 it is refused.

Source of the layout: torch/export/pt2_archive/constants.py of PyTorch 2.9 and later. Entries that are not named here,
such as data/sample_inputs/model.pt, are there in every archive and are never opened.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flstore_core.errors import InvalidProgram
from flstore_core.schema import ITEMSIZE

MAX_ENTRIES = 100_000
MAX_JSON_BYTES = 64 * 2**20
"""Largest JSON document that is parsed; a program of ten thousand operators takes some 20 MB."""

MAX_JSON_VALUES = 2**21
"""Most values of a JSON document, counted by its commas and brackets: each takes up to 100 bytes once it is parsed. An
operator has some 140."""

_LOCAL_HEADER = 30
"""Bytes of a zip entry's local header before its name and extra field."""

DTYPES: Mapping[int, str] = {
    1: "U8",
    2: "I8",
    3: "I16",
    4: "I32",
    5: "I64",
    6: "F16",
    7: "F32",
    8: "F64",
    12: "BOOL",
    13: "BF16",
}
"""`torch._export.serde.schema.ScalarType` as safetensors dtype codes."""


@dataclass(frozen=True, slots=True)
class RawTensor:
    """A tensor of an archive: bytes, and how they are laid out."""

    data: memoryview
    """The whole stored file; several tensors may share it."""
    file: str
    dtype: str
    """safetensors dtype code."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements."""
    offset: int
    """In elements."""


@dataclass(frozen=True)
class Archive:
    """The parts of a `.pt2` that are used."""

    program: Mapping[str, Any]
    """JSON of `torch._export.serde.schema.ExportedProgram`, not checked yet."""
    weights: Mapping[str, RawTensor]
    """Parameters and persistent buffers, by their names in the module."""
    constants: Mapping[str, RawTensor]
    program_nbytes: int = 0
    """Bytes of the program's JSON."""


def read_archive(body: bytes | memoryview) -> Archive:
    """Return the parts of an archive, its tensors as views into `body`.

    Raises:
        InvalidProgram: if it was not written by `torch.export.save`, or holds pickled objects or compiled code.
    """
    files = _files(body)
    if bytes(files.get("archive_format", b"")) != b"pt2" or bytes(files.get("byteorder", b"little")) != b"little":
        raise InvalidProgram(
            "not a little-endian .pt2 archive; write one with torch.export.save of PyTorch 2.9 or later"
        )
    if compiled := [name for name in files if name.startswith("data/aotinductor/")]:
        raise InvalidProgram(f"the archive holds compiled code ({compiled[0]}); upload the exported program alone")
    programs = [name for name in files if name.startswith("models/")]
    if programs != ["models/model.json"]:
        raise InvalidProgram(f"expected exactly one program, models/model.json; found {programs[:5]}")
    return Archive(
        _json(files, "models/model.json"),
        _tensors(files, "data/weights/", "model_weights_config.json"),
        _tensors(files, "data/constants/", "model_constants_config.json"),
        len(files["models/model.json"]),
    )


class _Reader(io.RawIOBase):
    """Reads memory as a file, without a copy of it."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}[whence]
        if start + offset < 0:
            raise OSError("before the beginning")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._view[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def _files(body: bytes | memoryview) -> dict[str, memoryview]:
    """Return the entries' bytes by their names below the archive's own folder."""
    view = memoryview(body).cast("B")
    try:
        with zipfile.ZipFile(_Reader(view)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise InvalidProgram("not a .pt2 archive: it is not a readable zip file") from error
    if len(entries) > MAX_ENTRIES:
        raise InvalidProgram(f"the archive has {len(entries)} entries; at most {MAX_ENTRIES} are read")
    files: dict[str, memoryview] = {}
    for entry in entries:
        _, _, name = entry.filename.partition("/")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise InvalidProgram(f"entry {entry.filename!r:.100} is compressed or encrypted; it must be stored")
        if name in files:
            raise InvalidProgram(f"entry {entry.filename!r:.100} appears twice")
        files[name] = _stored(view, entry)
    return files


def _stored(view: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    start = entry.header_offset
    header = view[start : start + _LOCAL_HEADER]
    if len(header) < _LOCAL_HEADER or bytes(header[:4]) != b"PK\x03\x04":
        raise InvalidProgram(f"entry {entry.filename!r:.100} does not lie where the directory says")
    start += _LOCAL_HEADER + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    data = view[start : start + entry.file_size]
    if len(data) != entry.file_size:
        raise InvalidProgram(f"entry {entry.filename!r:.100} is cut off")
    return data


def _json(files: Mapping[str, memoryview], name: str) -> Mapping[str, Any]:
    data = files.get(name)
    if data is None:
        raise InvalidProgram(f"{name} is missing; save the program with torch.export.save of PyTorch 2.9 or later")
    if len(data) > MAX_JSON_BYTES:
        raise InvalidProgram(f"{name} takes {len(data)} bytes; at most {MAX_JSON_BYTES} are parsed")
    text = bytes(data)
    values = sum(map(text.count, (b",", b"[", b"{")))
    if values > MAX_JSON_VALUES:
        raise InvalidProgram(f"{name} has some {values} values; at most {MAX_JSON_VALUES} are parsed")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidProgram(f"{name} is not JSON") from error
    if not isinstance(document, dict):
        raise InvalidProgram(f"{name} is not a JSON object")
    return document


def _tensors(files: Mapping[str, memoryview], folder: str, config: str) -> dict[str, RawTensor]:
    entries = _json(files, folder + config).get("config")
    if not isinstance(entries, dict):
        raise InvalidProgram(f"{folder}{config} has no 'config'")
    return {name: _tensor(files, folder, name, entry) for name, entry in entries.items()}


def _tensor(files: Mapping[str, memoryview], folder: str, name: str, entry: Any) -> RawTensor:
    try:
        path, meta = entry["path_name"], entry["tensor_meta"]
        if entry["use_pickle"] or meta is None:
            raise InvalidProgram(f"{name!r} is pickled; only plain tensors are read, nothing is ever unpickled")
        tensor = RawTensor(
            files.get(folder + path, memoryview(b"")),
            folder + path,
            DTYPES[meta["dtype"]],
            _integers(meta["sizes"]),
            _integers(meta["strides"]),
            *_integers([meta["storage_offset"]]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidProgram(f"tensor {name!r} is not described as torch.export.save does: {error!r}") from error
    _check_extent(name, tensor)
    return tensor


def _integers(values: Any) -> tuple[int, ...]:
    sizes = tuple(value["as_int"] for value in values)
    if not all(type(size) is int and 0 <= size < 2**48 for size in sizes):
        raise ValueError(f"{sizes!r:.100} are not sizes")
    return sizes


def _check_extent(name: str, tensor: RawTensor) -> None:
    """Raise unless every element lies within the stored file."""
    if len(tensor.shape) != len(tensor.strides) or len(tensor.shape) > 32:
        raise InvalidProgram(f"tensor {name!r}: shape {tensor.shape} and strides {tensor.strides} do not fit")
    if 0 in tensor.shape:
        return
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if (last + 1) * ITEMSIZE[tensor.dtype] > len(tensor.data):
        raise InvalidProgram(f"tensor {name!r} reaches past the end of {tensor.file}")
