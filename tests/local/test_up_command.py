"""`flstore up` without processes: what it hands on, prints and answers to Ctrl-C."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flstore_core.cli import main
from flstore_core.errors import InvalidParameters
from services.local import up
from services.local.running import Addresses
from services.local.sockets import url_of

URL = "http://127.0.0.1:4321"
CONTROLLER = "http://127.0.0.1:4322"


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
    def running(store: str, *, console: socket.socket | None, **options: Any) -> Iterator[Addresses]:
        seen.update(options, store=store)
        seen.update({"console": url_of(console)} if console else {})
        yield Addresses(URL, CONTROLLER)
        raise AssertionError("the command ended without being interrupted")

    class Interrupted:
        def wait(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(up, "running", running)
    monkeypatch.setattr(up, "can_show", lambda: False)
    monkeypatch.setattr("services.local.up.threading.Event", Interrupted)
    return seen


def flstore(*args: str, **env: str) -> Result:
    return CliRunner(env={"COLUMNS": "120", **env}).invoke(main, ["up", *args])


def test_the_defaults_are_those_of_the_help(options: dict[str, Any]) -> None:
    result = flstore()
    assert result.exit_code == 0
    assert options == {
        "store": ".flstore/store",
        "shards": 2,
        "host": "127.0.0.1",
        "port": 8080,
        "root_path": None,
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
        "--host",
        "localhost",
        "--port",
        "0",
        "--root-path",
        "/flstore",
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
        "host": "localhost",
        "port": 0,
        "root_path": "/flstore",
        "cache_size": "1GiB",
        "policy": "lru",
        "idle_seconds": 0.0,
        "log": log,
    }


def test_the_address_is_shown_in_a_panel(options: dict[str, Any]) -> None:
    output = flstore("--shards", "3").stdout
    for text in ("FLStore is up", URL, f"{URL}/docs", ".flstore/store", "3", "Ctrl-C"):
        assert text in output


def test_the_console_is_started_and_its_address_shown(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "can_show", lambda: True)
    output = flstore().stdout
    assert options["console"] in output
    options.clear()
    facts = json.loads(flstore("--json").stdout)
    assert facts["console"] == options["console"]


def test_a_console_that_is_not_wanted_is_neither_started_nor_spoken_of(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "can_show", lambda: True)
    assert "console" not in flstore("--no-console").stdout
    assert "console" not in options


def test_how_to_get_the_console_is_said_where_it_is_not_installed(options: dict[str, Any]) -> None:
    assert "pip install 'flstore-server[console]'" in flstore().stdout
    assert "console" not in options
    assert json.loads(flstore("--json").stdout)["console"] is None


def test_scripts_get_the_address_as_one_line(options: dict[str, Any]) -> None:
    (line,) = flstore("--json").stdout.splitlines()
    facts = json.loads(line)
    assert (facts["url"], facts["docs"], facts["shards"]) == (URL, f"{URL}/docs", 2)
    assert facts["metrics"] == [f"{URL}/metrics", f"{CONTROLLER}/metrics"]


ENVIRONMENT = {
    "FLSTORE_STORE": "s3://b/p",
    "FLSTORE_SHARDS": "5",
    "FLSTORE_HOST": "localhost",
    "FLSTORE_PORT": "0",
    "FLSTORE_ROOT_PATH": "/flstore",
    "FLSTORE_CACHE_BYTES": "1GiB",
    "FLSTORE_POLICY": "lru",
    "FLSTORE_IDLE_SECONDS": "0",
}


def test_the_environment_counts_where_an_option_is_not_given(options: dict[str, Any]) -> None:
    assert flstore(**ENVIRONMENT).exit_code == 0
    chosen = {
        "store": "s3://b/p",
        "shards": 5,
        "host": "localhost",
        "port": 0,
        "root_path": "/flstore",
        "cache_size": "1GiB",
        "policy": "lru",
        "idle_seconds": 0.0,
        "log": None,
    }
    assert options == chosen
    assert flstore("--policy", "lfu", "--shards", "1", **ENVIRONMENT).exit_code == 0
    assert options == {**chosen, "policy": "lfu", "shards": 1}


def test_an_environment_that_does_not_fit_is_refused_by_its_variable(options: dict[str, Any]) -> None:
    result = flstore(FLSTORE_SHARDS="many")
    assert result.exit_code == 2
    assert "FLSTORE_SHARDS" in result.stderr
    assert options == {}


@pytest.mark.usefixtures("options")
def test_what_will_not_do_as_the_user_thinks_is_warned_about() -> None:
    warned = flstore(FLSTORE_POLCY="lru", FLSTORE_PLACEMENT_URL="http://there", FLSTORE_REDIS="r").stderr.splitlines()
    assert warned == [
        "warning: FLSTORE_POLCY is no setting of FLStore; nearest: FLSTORE_POLICY",
        "warning: FLSTORE_PLACEMENT_URL is not used here; `flstore up` chooses it for each of its processes",
        "FLStore has stopped.",
    ]


@pytest.mark.usefixtures("options")
@pytest.mark.parametrize(
    ("host", "tokens", "warns"),
    [("127.0.0.1", "", False), ("localhost", "", False), ("0.0.0.0", "", True), ("0.0.0.0", '[{"token": "t"}]', False)],
)
def test_a_gateway_that_others_reach_asks_for_tokens_or_warns(host: str, tokens: str, warns: bool) -> None:
    said = flstore("--host", host, **({"FLSTORE_TOKENS": tokens} if tokens else {})).stderr
    assert (
        f"warning: the gateway listens at {host}, and whoever reaches it may read, change and delete" in said
    ) is warns


def test_what_keeps_it_from_starting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(store: str, **options: Any) -> None:
        raise InvalidParameters("port 8080 of 127.0.0.1 is in use")

    monkeypatch.setattr(up, "running", refusing)
    result = flstore()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: Parameters do not fit: port 8080 of 127.0.0.1 is in use\n"
