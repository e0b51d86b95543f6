"""A model's folder: what it says of itself, and how its files come into place."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.ids import ClientId, JobId
from flstore_core.model_names import ModelName
from flstore_core.models.folder import CONTENTS, Contents, File, clear, created, read_contents, write_contents

SHA256 = "0a" * 32
CONTENT = Contents(JobId("digits"), ModelName(3, ClientId("client-7")), File(SHA256, 7), File(SHA256[::-1], 11))


def test_a_folder_says_what_it_holds(tmp_path: Path) -> None:
    write_contents(tmp_path, CONTENT)
    assert json.loads((tmp_path / CONTENTS).read_text()) == {
        "format": 1,
        "job": "digits",
        "model": "3:client-7",
        "program": {"sha256": SHA256, "nbytes": 7},
        "weights": {"sha256": SHA256[::-1], "nbytes": 11},
    }
    assert read_contents(tmp_path) == CONTENT
    assert CONTENT.nbytes == 18
    clear(tmp_path)
    with pytest.raises(InvalidParameters, match=r"flstore\.json' cannot be read \(No such file or directory\)"):
        read_contents(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"job": "../etc"},
        {"job": None},
        {"model": "newest"},
        {"model": 3},
        {"program": {"sha256": SHA256.upper(), "nbytes": 7}},
        {"program": {"sha256": SHA256, "nbytes": -1}},
        {"program": {"sha256": SHA256, "nbytes": True}},
        {"program": {"sha256": SHA256, "nbytes": "7"}},
        {"program": {"sha256": SHA256}},
        {"weights": [SHA256, 1]},
    ],
)
def test_what_says_something_else_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / CONTENTS).write_text(json.dumps({**json.loads(CONTENT.encode()), **change}))
    with pytest.raises(InvalidParameters, match="does not say what the folder holds"):
        read_contents(tmp_path)


def test_what_a_later_version_says_besides_is_passed_over(tmp_path: Path) -> None:
    program = {"sha256": SHA256, "nbytes": 7, "path": "/etc/passwd"}
    (tmp_path / CONTENTS).write_text(json.dumps({**json.loads(CONTENT.encode()), "program": program, "made_by": "x"}))
    assert read_contents(tmp_path) == CONTENT


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"[" * 3000, b"\xff", b" " * 5000 + b"{}"])
def test_what_says_nothing_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / CONTENTS).write_bytes(text)
    with pytest.raises(InvalidParameters, match="does not say what the folder holds"):
        read_contents(tmp_path)


def test_a_new_file_takes_the_place_of_a_link_and_follows_none(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("kept")
    for name in ("model.safetensors", "model.safetensors.part"):
        (tmp_path / name).symlink_to(tmp_path / "secret")
    with created(tmp_path, "model.safetensors") as file:
        file.write(b"new")
    assert (tmp_path / "secret").read_text() == "kept"
    assert not (tmp_path / "model.safetensors").is_symlink()
    assert (tmp_path / "model.safetensors").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "secret"]


def test_whoever_serves_the_folder_may_read_it(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        write_contents(tmp_path, CONTENT)
    finally:
        os.umask(previous)
    assert (tmp_path / CONTENTS).stat().st_mode & 0o777 == 0o644


def test_a_file_that_was_not_finished_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "program.pt2").write_bytes(b"old")
    with suppress(ZeroDivisionError), created(tmp_path, "program.pt2") as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["program.pt2"]
    assert (tmp_path / "program.pt2").read_bytes() == b"old"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidParameters, match=r"file/models' cannot be written: Not a directory"):
        clear(tmp_path / "file" / "models")
