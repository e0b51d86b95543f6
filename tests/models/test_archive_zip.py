"""Hostile zip files: whatever a directory claims, only bytes of the upload are read, each as it lies there."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest

from flstore_core.errors import InvalidProgram
from flstore_core.models import archive as archive_module
from flstore_core.models.archive import read_archive

META = {"dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 3}], "strides": [{"as_int": 3}, {"as_int": 1}]}


def config(**tensors: Any) -> bytes:
    return json.dumps({"config": tensors}).encode()


def tensor(path: str = "weight_0", offset: int = 0, **changes: Any) -> dict[str, Any]:
    meta = {**META, "storage_offset": {"as_int": offset}, **changes}
    return {"path_name": path, "use_pickle": False, "tensor_meta": meta}


def entries(**changes: bytes | None) -> dict[str, bytes]:
    """Return the entries of a sound archive with one weight of 7 floats; None takes one away."""
    sound = {
        "archive_format": b"pt2",
        "byteorder": b"little",
        "models/model.json": b'{"schema_version": {"major": 8}}',
        "data/weights/model_weights_config.json": config(w=tensor(offset=1)),
        "data/weights/weight_0": struct.pack("<7f", *range(7)),
        "data/constants/model_constants_config.json": config(),
    }
    merged: Mapping[str, bytes | None] = {**sound, **changes}
    return {name: body for name, body in merged.items() if body is not None}


def packed(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, body in files.items():
            file.writestr(f"m/{name}", body)
    return out.getvalue()


def refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidProgram, match=message):
        read_archive(body)


def weights_of(**tensors: Any) -> bytes:
    return packed(entries(**{"data/weights/model_weights_config.json": config(**tensors)}))


def test_a_sound_archive_is_read_with_its_tensors_as_views() -> None:
    body = packed(entries())
    archive = read_archive(body)
    weight = archive.weights["w"]
    assert archive.program == {"schema_version": {"major": 8}}
    assert archive.program_nbytes == 32
    assert (weight.dtype, weight.shape, weight.strides, weight.offset) == ("F32", (2, 3), (3, 1), 1)
    assert weight.data.obj is body
    assert struct.unpack("<7f", weight.data) == tuple(range(7))
    assert archive.constants == {}


def test_the_example_of_the_module_holds() -> None:
    """Offset 1, shape (2, 3): 28 bytes are enough, 27 are not."""
    assert read_archive(packed(entries()))
    short = {"data/weights/weight_0": bytes(27)}
    refused(packed(entries(**short)), "tensor 'w' reaches past the end of data/weights/weight_0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"archive_format": b"pt1"}, "not a little-endian .pt2 archive"),
        ({"archive_format": None}, "not a little-endian .pt2 archive"),
        ({"byteorder": b"big"}, "not a little-endian .pt2 archive"),
        ({"models/model.json": None}, r"expected exactly one program, models/model.json; found \[\]"),
        ({"models/other.json": b"{}"}, "expected exactly one program"),
        ({"models/model.json": b"{"}, "models/model.json is not JSON"),
        ({"models/model.json": b"[]"}, "models/model.json is not a JSON object"),
        ({"models/model.json": b"[" * 100_000}, "models/model.json is not JSON"),
        ({"models/model.json": b"\xff"}, "models/model.json is not JSON"),
        ({"data/weights/model_weights_config.json": None}, "model_weights_config.json is missing"),
        ({"data/weights/model_weights_config.json": b"{}"}, "has no 'config'"),
        ({"data/constants/model_constants_config.json": b'{"config": []}'}, "has no 'config'"),
    ],
)
def test_a_part_that_is_missing_or_unreadable_is_named(changes: dict[str, bytes | None], message: str) -> None:
    refused(packed(entries(**changes)), message)


def test_an_archive_without_a_byte_order_is_little_endian() -> None:
    assert read_archive(packed(entries(byteorder=None)))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({**tensor(), "use_pickle": True}, "'w' is pickled"),
        ({**tensor(), "tensor_meta": None}, "'w' is pickled"),
        ({"path_name": "weight_0"}, "'w' is not described"),
        ([], "'w' is not described"),
        (None, "'w' is not described"),
        (tensor(dtype=99), "'w' is not described"),
        (tensor(sizes=[{"as_int": -1}]), "'w' is not described"),
        (tensor(sizes=[{"as_int": True}, {"as_int": 3}]), "'w' is not described"),
        (tensor(sizes=[{"as_int": 2.0}, {"as_int": 3}]), "'w' is not described"),
        (tensor(sizes=[{"as_expr": "s0"}]), "'w' is not described"),
        (tensor(offset=2**48), "'w' is not described"),
        (tensor(strides=[{"as_int": 1}]), "do not fit"),
        (tensor(sizes=[{"as_int": 1}] * 33, strides=[{"as_int": 1}] * 33), "do not fit"),
        (tensor(path="elsewhere"), "reaches past the end"),
        (tensor(path="../../etc/passwd"), "reaches past the end"),
        (tensor(strides=[{"as_int": 2**47}, {"as_int": 2**47}]), "reaches past the end"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused(broken: Any, message: str) -> None:
    refused(weights_of(w=broken), message)


def test_a_tensor_without_elements_needs_no_bytes() -> None:
    empty = tensor(path="nothing", sizes=[{"as_int": 0}], strides=[{"as_int": 1}])
    assert read_archive(weights_of(w=empty)).weights["w"].shape == (0,)


def test_two_entries_of_one_name_are_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("m/archive_format", b"pt2")
        file.writestr("n/archive_format", b"pt2")
    refused(out.getvalue(), "'n/archive_format' appears twice")


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_ENTRIES", 5)
    refused(packed(entries()), "the archive has 6 entries; at most 5 are read")


def test_json_beyond_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_JSON_BYTES", 31)
    refused(packed(entries()), "models/model.json takes 32 bytes; at most 31 are parsed")


def patched(body: bytes, at: int, value: bytes) -> bytes:
    return body[:at] + value + body[at + len(value) :]


def directory_of(body: bytes) -> int:
    """Return where the first record of the zip's central directory begins."""
    return body.index(b"PK\x01\x02")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (8, b"\x01\x00", "is compressed or encrypted; it must be stored"),
        (10, b"\x08\x00", "is compressed or encrypted; it must be stored"),
        (24, b"\xff\xff\xff\x7f", "is cut off"),
        (42, b"\x05\x00\x00\x00", "does not lie where the directory says"),
        (42, b"\xff\xff\xff\x00", "does not lie where the directory says|not a readable zip"),
    ],
)
def test_a_directory_that_lies_about_an_entry_is_refused(field: int, value: bytes, message: str) -> None:
    """Fields of a record: flags at 8, method at 10, uncompressed size at 24, place of the local header at 42."""
    body = packed(entries())
    refused(patched(body, directory_of(body) + field, value), message)


def test_the_directory_decides_which_bytes_are_read_not_the_local_header() -> None:
    body = packed(entries())
    local_size = 22
    assert read_archive(patched(body, local_size, b"\xff\xff\xff\xff")).weights["w"].shape == (2, 3)


@pytest.mark.parametrize("cut", [1, 22, 100, 500])
def test_a_body_that_is_cut_off_is_refused(cut: int) -> None:
    refused(packed(entries())[:-cut], "not a .pt2 archive: it is not a readable zip file")


def test_bytes_in_front_of_the_zip_do_not_move_what_is_read() -> None:
    body = b"#!/bin/sh\nexit 1\n" + packed(entries())
    assert struct.unpack("<7f", read_archive(body).weights["w"].data) == tuple(range(7))
