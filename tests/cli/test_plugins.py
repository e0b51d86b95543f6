"""Commands of other distributions: found by entry point, loaded one by one, harmless when broken."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flstore_core.cli import main, plugins

MODULE = """
import click

@click.command("greet")
@click.argument("name")
def greet(name):
    "Say hello."
    click.echo(f"hello {name}")

no_command = 3
"""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Read the entry points anew in every test, and again after it."""
    plugins.entries.cache_clear()
    yield
    plugins.entries.cache_clear()


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *entries: str) -> None:
    """Put a distribution with a module `greetings` and these commands on the path."""
    info = folder / "greetings-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flstore.commands]\n" + "\n".join(entries))
    (folder / "greetings.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "greetings", raising=False)


def flstore(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def test_a_package_adds_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "greet = greetings:greet")
    assert "  greet        Say hello.\n" in flstore("--help").output
    assert flstore("greet", "Ada").output == "hello Ada\n"


def test_a_package_cannot_replace_a_command_of_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "jobs = greetings:greet")
    assert "Say hello" not in flstore("jobs", "--help").output
    assert flstore("--help").output.count("\n  jobs ") == 1


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("greetings:absent", "AttributeError: module 'greetings' has no attribute 'absent'"),
        ("no_such_module:greet", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("greetings:no_command", "int is not a click command"),
    ],
)
def test_a_broken_command_says_why_and_the_others_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, reason: str
) -> None:
    install(tmp_path, monkeypatch, f"broken = {target}", "greet = greetings:greet")
    assert "  broken       Cannot be loaded.\n" in flstore("--help").output
    result = flstore("broken")
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: command 'broken' ({target}) cannot be loaded: {reason}\n",
    )
    assert flstore("greet", "Ada").exit_code == 0


def test_a_command_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result = flstore("frobnicate")
    assert result.exit_code == 2
    assert "No such command 'frobnicate'." in result.stderr
    assert "pip install" not in result.stderr


def test_without_the_server_distribution_a_missing_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plugins, "entries", dict)
    monkeypatch.setattr(plugins, "SERVER", "flstore-server-that-is-not-installed")
    result = flstore("up")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "Error: No such command 'up'. "
        "The commands that run FLStore itself come with: pip install flstore-server-that-is-not-installed"
    )
