"""`flstore up` without processes: what it hands on, prints and answers to Ctrl-C."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flstore_core.cli import main
from flstore_core.errors import InvalidParameters
from services.local import up

URL = "http://127.0.0.1:4321"


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Leave this process's signal handlers as they were: the command sets its own."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Have the system start in no time, and be interrupted once it runs; return what it was started with."""
    seen: dict[str, Any] = {}

    @contextmanager
    def running(store: str, **options: Any) -> Iterator[str]:
        seen.update(options, store=store)
        yield URL
        raise AssertionError("the command ended without being interrupted")

    class Interrupted:
        def wait(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(up, "running", running)
    monkeypatch.setattr("services.local.up.threading.Event", Interrupted)
    return seen


def flstore(*args: str) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(main, ["up", *args])


def test_the_defaults_are_those_of_the_help(options: dict[str, Any]) -> None:
    result = flstore()
    assert result.exit_code == 0
    assert options == {
        "store": ".flstore/store",
        "shards": 2,
        "port": 8080,
        "cache_size": "512MiB",
        "policy": "tailored",
        "idle_seconds": 60.0,
        "log": None,
    }
    assert result.stderr == "FLStore has stopped.\n"


def test_every_option_is_handed_on(options: dict[str, Any], tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = [
        "--shards",
        "5",
        "--store",
        "s3://b/p",
        "--port",
        "0",
        "--cache-size",
        "1GiB",
        "--policy",
        "lru",
        "--idle",
        "0",
    ]
    assert flstore(*arguments, "--log", str(log)).exit_code == 0
    assert options == {
        "store": "s3://b/p",
        "shards": 5,
        "port": 0,
        "cache_size": "1GiB",
        "policy": "lru",
        "idle_seconds": 0.0,
        "log": log,
    }


def test_the_address_is_shown_in_a_panel(options: dict[str, Any]) -> None:
    output = flstore("--shards", "3").stdout
    for text in ("FLStore is up", URL, f"{URL}/docs", ".flstore/store", "3", "Ctrl-C"):
        assert text in output


def test_scripts_get_the_address_as_one_line(options: dict[str, Any]) -> None:
    (line,) = flstore("--json").stdout.splitlines()
    facts = json.loads(line)
    assert (facts["url"], facts["docs"], facts["shards"]) == (URL, f"{URL}/docs", 2)


def test_what_keeps_it_from_starting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(store: str, **options: Any) -> None:
        raise InvalidParameters("port 8080 of 127.0.0.1 is in use")

    monkeypatch.setattr(up, "running", refusing)
    result = flstore()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: Parameters do not fit: port 8080 of 127.0.0.1 is in use\n"
