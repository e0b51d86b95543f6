"""A folder is read once it is what it says, and in no other case."""

import json
from pathlib import Path

import pytest

from flstore_core import codec
from flstore_core.errors import DigestMismatch, InvalidParameters, InvalidTensors
from flstore_core.models.folder import PROGRAM, WEIGHTS, read_contents
from services.predictor.standalone.reading import read
from tests.models.gateways import weights
from tests.models.small import SCHEMA, program
from tests.predictor.standalone.folders import fill


def test_a_folder_is_a_model_and_its_program(tmp_path: Path) -> None:
    stored = read(fill(tmp_path), read_contents(tmp_path))
    body = codec.dumps(weights(13))
    assert stored.model.memory.data.tobytes() == body[-SCHEMA.nbytes :]
    assert stored.program.memory.data.tobytes() == program()
    assert stored.model.schema == stored.program.schema == SCHEMA
    assert (stored.job, str(stored.name)) == ("small", "1")


@pytest.mark.parametrize("name", [PROGRAM, WEIGHTS])
@pytest.mark.parametrize("change", [lambda body: body[:-1], lambda body: body + b"\0", lambda body: body[::-1]])
def test_a_file_with_other_bytes_is_refused(tmp_path: Path, name: str, change: object) -> None:
    assert callable(change)
    path = fill(tmp_path) / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DigestMismatch, match=name):
        read(tmp_path, read_contents(tmp_path))


def test_a_file_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    path = fill(tmp_path) / WEIGHTS
    path.write_bytes(b"")
    with pytest.raises(InvalidParameters, match=r"model\.safetensors' cannot be read"):
        read(tmp_path, read_contents(tmp_path))
    path.unlink()
    with pytest.raises(InvalidParameters, match=r"model\.safetensors' cannot be read"):
        read(tmp_path, read_contents(tmp_path))


def _swapped() -> bytes:
    places = {"a": [8, 16], "b": [0, 8]}
    text = json.dumps({name: {"dtype": "F32", "shape": [2], "data_offsets": place} for name, place in places.items()})
    return len(text).to_bytes(8, "little") + text.encode() + bytes(16)


@pytest.mark.parametrize("body", [b"no tensors", codec.dumps(weights(13))[:-4], _swapped()])
def test_weights_that_are_no_model_are_refused_though_their_hash_is_right(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(InvalidTensors):
        read(fill(tmp_path, body=body), read_contents(tmp_path))
