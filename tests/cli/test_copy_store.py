"""`flstore copy-store` between directories and a real S3 server."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from flstore_core.cli import main
from flstore_core.storage import DirectoryStore
from tests.servers import S3Server


@pytest.fixture
def full(tmp_path: Path) -> Path:
    folder = tmp_path / "full"
    store = DirectoryStore(folder)
    store.put("jobs/digits/job.json", b"{}")
    store.put("jobs/digits/g/rounds/00000001/clients/a~u.safetensors", 300_000 * b"tensors ")
    return folder


def flstore(*args: object, **env: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", **env}).invoke(main, ["copy-store", *map(str, args)])


def test_from_a_folder_to_a_bucket_and_back_with_keys_from_files(
    full: Path, tmp_path: Path, s3_server: S3Server
) -> None:
    keys = tmp_path / "keys.env"
    keys.write_text("# of the new store\n\n" + "\n".join(f"{name} = {value}" for name, value in s3_server.env.items()))
    bucket, back = f"s3://copied/{uuid4().hex}", tmp_path / "back"
    there = flstore(full, bucket, "--to-env", keys)
    assert (there.exit_code, there.output.splitlines()[0]) == (0, "2 objects created, 0 replaced: 2.3 MiB")
    returned = flstore(bucket, back, "--from-env", keys, "--json")
    assert json.loads(returned.output)["created"] == 2
    files = {path.relative_to(full): path.read_bytes() for path in (full / "jobs").rglob("*.*")}
    assert {path.relative_to(back): path.read_bytes() for path in (back / "jobs").rglob("*.*")} == files


def test_what_differs_is_named_and_ends_with_an_error_until_it_is_replaced(full: Path, tmp_path: Path) -> None:
    other = DirectoryStore(tmp_path / "other")
    other.put("jobs/digits/job.json", b'{"other": 1}')
    for number in range(25):
        other.put(f"jobs/more/{number:02d}.json", b"{}")
    first = flstore(full, tmp_path / "other")
    assert first.exit_code == 1
    assert "1 object with other content in the target; --replace takes the source's:" in first.output
    assert "  jobs/digits/job.json" in first.output
    assert "25 objects only in the target:" in first.output
    assert "  and 5 more" in first.output
    second = flstore(full, tmp_path / "other", "--replace")
    assert (second.exit_code, other.get("jobs/digits/job.json")) == (0, b"{}")
    assert "0 objects created, 1 replaced: 2 B" in second.output


def test_a_file_of_keys_that_is_not_understood_is_refused_without_showing_them(full: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.env"
    keys.write_text("FLSTORE_S3_ACCESS_KEY=a\nvery-secret\n")
    refused = flstore(full, tmp_path / "other", "--to-env", keys)
    assert refused.exit_code == 1
    assert f"line 2 of '{keys}' is not understood; write NAME=VALUE" in refused.output
    assert "very-secret" not in refused.output


def test_a_store_that_does_not_exist_is_told(full: Path) -> None:
    refused = flstore(full, "ftp://somewhere")
    assert (refused.exit_code, "unknown scheme 'ftp'" in refused.output) == (1, True)
