"""`flstore export archive` and `flstore import`, against a real gateway."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flstore_core.cli import main
from flstore_core.cli.moving import shown
from tests.archives.conftest import cluster, laptop
from tests.archives.jobs import described, fill
from tests.integrations.door import Door

__all__ = ["cluster", "laptop"]


def flstore(door: Door, *args: Any) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, [*map(str, args), "--url", door.url])


def test_a_job_goes_from_one_gateway_to_another(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    exported = flstore(laptop, "export", "archive", "job", tmp_path / "a.tar")
    first, second = exported.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'a.tar'}: 3 rounds, 8 files, ")
    fingerprint = second.removeprefix("fingerprint ")
    imported = flstore(cluster, "import", tmp_path / "a.tar", "--as", "copy", "--fingerprint", fingerprint)
    assert imported.stdout.startswith("job copy: 3 rounds; 8 files sent, ")
    assert described(cluster.store, "copy") == described(laptop.store)
    assert "job copy: 3 rounds; 0 files sent" in flstore(cluster, "import", tmp_path / "a.tar", "--as", "copy").stdout


def test_scripts_get_what_was_done_as_json(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    (tmp_path / "a.tar.part").write_bytes(b"rubbish")
    exported = json.loads(flstore(laptop, "export", "archive", "job", tmp_path / "a.tar", "--json").stdout)
    imported = json.loads(flstore(cluster, "import", tmp_path / "a.tar", "--json").stdout)
    assert (exported["rounds"], exported["kept"], exported["nbytes"]) == (3, 0, (tmp_path / "a.tar").stat().st_size)
    assert (imported["job"], imported["sent"], imported["remarks"]) == ("job", 8, [])
    assert imported["fingerprint"] == exported["fingerprint"]


def test_an_export_that_goes_on_says_how_much_was_there(laptop: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    flstore(laptop, "export", "archive", "job", tmp_path / "a.tar")
    (tmp_path / "a.tar").rename(tmp_path / "b.tar.part")
    assert "of it from an earlier export" in flstore(laptop, "export", "archive", "job", tmp_path / "b.tar").stdout


def test_a_damaged_archive_is_one_line_and_ends_with_1(cluster: Door, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"PK")
    result = flstore(cluster, "import", tmp_path / "a.tar")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: The file is no whole archive of a job: ")
    assert "it is cut: it ends at byte 2" in result.stderr


def test_a_bar_is_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(quiet=False) as progress:
        progress("checking", 1, 2)
    assert capsys.readouterr() == ("", "")
