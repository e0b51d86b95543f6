"""The command as a whole: help at once, errors as one line."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from rich.console import Console, RenderableType

from flstore_core import __version__
from flstore_core.cli import main
from flstore_core.cli.drawing import drawn_object
from flstore_core.cli.lazy import LazyCommand
from flstore_core.cli.main import COMMANDS
from flstore_core.cli.plugins import entries
from flstore_core.cli.session import to_json
from flstore_core.cli.tables import table
from flstore_core.client import Fields
from flstore_core.presentation import MOST_ROWS, percent, shown
from tests.cli.conftest import Flstore
from tests.client.scripted import Script
from tests.servers import free_ports

EVERY_COMMAND: list[LazyCommand] = [*COMMANDS, *(entry.load() for entry in entries().values())]


def test_help_lists_every_command_and_imports_none() -> None:
    program = (
        "import sys\nfrom flstore_core.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'httpx', 'numpy', 'rich', 'sklearn'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(f"\n  {name} " in done.stdout for name in (*(command.name for command in COMMANDS), *entries()))
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=lambda command: str(command.name))
def test_every_command_is_there_and_takes_json(command: LazyCommand) -> None:
    loaded = command.load()
    assert loaded.name == command.name
    wanted = [
        *{"jobs": ["jobs", "list"], "export": ["export", "arrow"]}.get(str(loaded.name), [str(command.name)]),
        "--help",
    ]
    help_text = CliRunner().invoke(main, wanted).output
    assert "Usage: main" in help_text
    assert "--json" in help_text


def test_an_error_is_one_line_with_fields_and_request(flstore: Flstore, script: Script) -> None:
    bad = [{"field": "k", "message": "too small"}, {"field": "round", "message": "unknown"}]
    script.problem(422, "invalid-parameters", "parameters do not fit: k: too small", errors=bad, request_id="r-7")
    result = flstore("run", "j", "clustering", "-p", "k=0")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: Parameters do not fit: parameters do not fit: k: too small (request r-7)",
        "  round: unknown",
    ]


def test_an_error_about_a_hostile_name_is_text(flstore: Flstore, script: Script) -> None:
    script.problem(404, "not-found", "client \x1b[2Ja\u202eb does not exist\nnearest: c")
    assert flstore("jobs", "j").stderr.splitlines() == [
        r"error: No such thing: client \x1b[2Ja\u202eb does not exist",
        "nearest: c",
    ]


def test_scripts_get_errors_as_json_too(flstore: Flstore, script: Script) -> None:
    script.problem(404, "not-found", "job 'x' does not exist; nearest: j", nearest=["j"])
    result = flstore("jobs", "show", "x", "--json")
    assert result.exit_code == 1
    error = json.loads(result.stderr)["error"]
    assert (error["code"], error["status"], error["nearest"]) == ("not-found", 404, ["j"])


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "flstore_core.cli", "--version"], capture_output=True, text=True)
    assert done.stdout == f"flstore, version {__version__}\n"


def test_to_json_refuses_what_has_no_json_form() -> None:
    assert json.loads(to_json({"answer": Fields({"a": 1})})) == {"answer": {"a": 1}}
    with pytest.raises(TypeError, match="object has no JSON form"):
        to_json(object())


def test_an_unreachable_server_is_named_with_a_way_out() -> None:
    (port,) = free_ports(1)
    result = CliRunner().invoke(main, ["workloads", "--url", f"http://127.0.0.1:{port}"])
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}" in result.stderr
    assert "flstore up" in result.stderr


def test_the_token_of_the_environment_is_sent(flstore: Flstore, script: Script) -> None:
    script.reply({"jobs": []})
    flstore("jobs")
    assert script.seen[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("pair", ["k", "=3", ""])
def test_a_parameter_that_is_no_pair_is_refused(flstore: Flstore, script: Script, pair: str) -> None:
    result = flstore("run", "j", "clustering", "-p", pair)
    assert result.exit_code == 2
    assert "key=value" in result.stderr
    assert not script.seen


def test_a_parameter_given_twice_is_refused(flstore: Flstore, script: Script) -> None:
    assert flstore("run", "j", "clustering", "-p", "k=1", "-p", "k=2").exit_code == 1
    assert not script.seen


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (0.123456, "0.1235"),
        (2.5e9, "2.500e+09"),
        ([1, "a"], "1, a"),
        ({"a": 1.0}, "a 1"),
        ({}, ""),
    ],
)
def test_values_are_shown_short(value: object, text: str) -> None:
    assert shown(value) == text


def test_any_answer_can_be_shown() -> None:
    answer = {
        "plain": 1,
        "empty": [],
        "nothing": {},
        "rows": [{"a": 1}, {"b": [2, 3]}],
        "matrix": [[1.0, 0.5], [0.5, 1.0]],
        "by_name": {"x": {"n": 1}, "y": {"n": 2}},
        "nested": {"deep": [{"z": 0}], "k": 3},
    }
    assert len([each for each in drawn_object(answer) if each]) == 7


def lines(*renderables: RenderableType, width: int = 100) -> list[str]:
    """Return what a terminal shows, without empty lines and trailing blanks."""
    console = Console(width=width)
    with console.capture() as capture:
        for each in renderables:
            console.print(each)
    return [line.rstrip() for line in capture.get().splitlines() if line.strip(" ─")]


def test_columns_of_numbers_are_right_aligned_and_text_is_not() -> None:
    _, *rows = lines(table("", ["client", "loss"], [["a", 0.5], ["bb", 10], ["c", None]]))
    assert [row.split() for row in rows] == [["a", "0.5"], ["bb", "10"], ["c", "-"]]
    assert len({len(row) for row in rows}) == 1, "figures end in one column"
    assert len({len(row) - len(row.lstrip()) for row in rows}) == 1, "names begin in one column"


def test_nested_objects_are_tables_with_their_path_as_title() -> None:
    output = lines(*drawn_object({"k": 3, "deep": {"n": 1, "rows": [{"a": 1, "b": 2}]}}))
    assert [line.split() for line in output] == [
        ["deep"],
        ["n", "1"],
        ["deep", "rows"],
        ["a", "b"],
        ["1", "2"],
        ["k", "3"],
    ]


def test_a_long_table_is_cut_and_says_how_much_is_missing() -> None:
    rows = [{"n": index} for index in range(MOST_ROWS + 7)]
    output = " ".join(" ".join(lines(*drawn_object({"rows": rows}))).split())
    assert output.endswith(f" {MOST_ROWS - 2} {MOST_ROWS - 1} 7 more; --json shows all")
    assert "more" not in "".join(lines(*drawn_object({"rows": rows[:MOST_ROWS]})))


@pytest.mark.parametrize(("rate", "text"), [(None, "-"), (0.0, "0 %"), (0.934, "93 %"), (1.0, "100 %")])
def test_rates_are_shown_in_per_cent(rate: float | None, text: str) -> None:
    assert percent(rate) == text
