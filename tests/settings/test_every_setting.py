"""A setting does what docs/settings.md says: each one is set, and something changes by it.

Who adds a setting adds a row; without one the test of that setting fails. A row's observer starts as much as it takes:
the `main` of a service, the object that a controller makes, the client that the command opens.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from flstore_core.environment import PREFIX, SETTINGS
from tests.settings.row import Row
from tests.settings.rows_cluster import CLUSTER
from tests.settings.rows_services import BACKENDS, CONSOLE, CONTROLLER, GATEWAY, SERVICES
from tests.settings.rows_store import CLIENTS, STORE

ROWS: Mapping[str, Row] = {
    PREFIX + name: row
    for rows in (STORE, CONSOLE, SERVICES, CLIENTS, GATEWAY, BACKENDS, CONTROLLER, CLUSTER)
    for name, row in rows.items()
}


@pytest.mark.parametrize("variable", sorted(SETTINGS))
def test_a_setting_does_what_its_page_says(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    row = ROWS[variable]
    assert row.observe({**row.beside, variable: row.text}) == row.expected
    assert row.observe(row.beside) != row.expected, "it is the same without the setting"


def test_no_row_is_of_a_setting_that_is_none() -> None:
    assert ROWS.keys() == SETTINGS
