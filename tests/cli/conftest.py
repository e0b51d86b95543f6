"""The command against a real server that answers as written down."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from flstore_core.cli import main
from tests.client.conftest import script, served
from tests.client.scripted import Script

__all__ = ["Flstore", "flstore", "script", "served"]

Flstore = Callable[..., Result]


@pytest.fixture
def flstore(script: Script) -> Flstore:
    """Run `flstore` with arguments against the scripted server."""

    def run(*args: str, input: str | None = None) -> Result:  # noqa: A002 - click's own word
        env = {"FLSTORE_URL": script.url, "FLSTORE_TOKEN": "secret", "COLUMNS": "200"}
        return CliRunner(env=env).invoke(main, args, input=input)

    return run
