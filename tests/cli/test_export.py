"""`flstore export`: the metadata of a job's rounds as a file."""

import json
import sys
from pathlib import Path

import pyarrow.feather
import pyarrow.parquet
import pytest

from tests.cli.conftest import Flstore
from tests.client.scripted import Script
from tests.client.test_api import ROUND

READERS = {"parquet": pyarrow.parquet.read_table, "arrow": pyarrow.feather.read_table}


def listing(*numbers: int) -> dict[str, object]:
    return {"rounds": [{"round": number, "committed": True, "clients": 1} for number in numbers]}


@pytest.mark.parametrize("form", READERS)
def test_the_file_has_a_row_for_each_update(flstore: Flstore, script: Script, tmp_path: Path, form: str) -> None:
    script.reply(listing(2, 3))
    for number in (2, 3):
        script.reply({**ROUND, "round": number})
    output = tmp_path / "out"
    shown = flstore("export", form, "j", "-o", str(output), "--json").output
    table = READERS[form](output)
    assert table["round"].to_pylist() == sorted([2, 3] * (table.num_rows // 2))
    assert json.loads(shown) == {"path": str(output), "rows": table.num_rows, "columns": table.column_names}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_only_the_rounds_that_are_wanted_are_fetched(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    script.reply(listing(1, 2, 3, 4))
    for _ in range(2):
        script.reply(ROUND)
    assert flstore("export", "parquet", "j", "-o", str(tmp_path / "x"), "--first", "2", "--last", "3").exit_code == 0
    assert [seen.path for seen in script.seen[1:]] == ["/v1/jobs/j/rounds/2", "/v1/jobs/j/rounds/3"]


def test_a_folder_that_cannot_be_written_to_is_named(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    script.reply(listing())
    result = flstore("export", "parquet", "j", "-o", str(tmp_path / "no" / "x"))
    assert result.exit_code == 1
    assert "x' cannot be written: No such file or directory" in result.output


def test_without_pyarrow_it_says_what_to_install(flstore: Flstore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = flstore("export", "parquet", "j")
    assert result.exit_code == 1
    assert "pip install 'flstore[arrow]'" in result.output


def test_the_file_of_a_job_with_any_name_lies_in_this_folder(
    flstore: Flstore, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    script.reply(listing())
    assert flstore("export", "parquet", "../x").exit_code == 0
    assert [path.parent.name for path in tmp_path.rglob("*.parquet")] == ["here"]
