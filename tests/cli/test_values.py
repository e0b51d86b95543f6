"""Arguments of commands: pairs, and models in files."""

import io
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.cli.lazy import LazyCommand, ListingGroup
from flstore_core.cli.values import merged, pairs, schema_in, tensors_in
from flstore_core.errors import InvalidParameters, InvalidTensors
from tests.writers import file_of

KEYS = st.text("abcdefghij_", min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


ONE_ARRAY = io.BytesIO()
np.save(ONE_ARRAY, np.zeros(3))


def parsed(*arguments: str) -> Any:
    """Return what a command gets for `-p` options, or the exit code if they are refused."""
    received: list[Any] = []

    @click.command()
    @pairs("-p", "values", help="Any.")
    def command(values: Any) -> None:
        received.append(values)

    result = CliRunner().invoke(command, [word for argument in arguments for word in ("-p", argument)])
    return received[0] if received else result.exit_code


@given(st.lists(st.tuples(KEYS, JSON), max_size=5))
def test_json_values_come_back_as_they_are(given_pairs: list[tuple[str, Any]]) -> None:
    assert list(parsed(*(f"{key}={json.dumps(value)}" for key, value in given_pairs))) == given_pairs


@pytest.mark.parametrize(
    "text", ["krum", "2026-01-01", "[1, 2", "a=b", "", " x ", "1e", "tru", "[" * 50_000, "9" * 5000]
)
def test_a_value_that_is_no_json_is_text(text: str) -> None:
    assert parsed(f"k={text}") == (("k", text),)


@pytest.mark.parametrize("argument", ["", "k", "=v", "="])
def test_a_pair_needs_a_key_and_an_equals_sign(argument: str) -> None:
    assert parsed(argument) == 2


def test_pairs_become_one_object_unless_a_key_is_repeated() -> None:
    assert merged([("a", 1), ("b", [2])]) == {"a": 1, "b": [2]}
    with pytest.raises(InvalidParameters, match="a key is given twice in a, b, a"):
        merged([("a", 1), ("b", 2), ("a", 1)])


def test_an_npz_file_is_read_and_a_safetensors_file_is_not(tmp_path: Path) -> None:
    arrays = {"w": np.arange(6.0).reshape(2, 3)}
    np.savez(tmp_path / "m.npz", allow_pickle=False, **arrays)
    loaded = tensors_in(tmp_path / "m.npz")
    assert isinstance(loaded, dict)
    assert np.array_equal(loaded["w"], arrays["w"])
    absent = tmp_path / "absent.safetensors"
    assert tensors_in(absent) == absent, "the client opens it"


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("model.pt", b"", "give a .safetensors or .npz file"),
        ("model.npz", b"no archive", "cannot be read"),
        ("model.npz", b"PK\x03\x04 broken", "cannot be read"),
        ("model.npz", ONE_ARRAY.getvalue(), "cannot be read"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, name: str, body: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(InvalidParameters, match=message):
        tensors_in(tmp_path / name)


COMPRESSED = io.BytesIO()
np.savez_compressed(COMPRESSED, w=np.arange(500.0))


@given(st.integers(0, len(COMPRESSED.getvalue()) - 1), st.integers(1, 255), st.booleans())
def test_a_corrupt_archive_is_read_or_refused_by_name(place: int, change: int, cut: bool) -> None:
    body = bytearray(COMPRESSED.getvalue())
    body[place] ^= change
    if cut:
        del body[place + 1 :]
    with tempfile.TemporaryDirectory() as folder, suppress(InvalidParameters):
        path = Path(folder) / "c1.npz"
        path.write_bytes(body)
        tensors_in(path)


def test_a_corrupt_compressed_member_is_refused(tmp_path: Path) -> None:
    body = bytearray(COMPRESSED.getvalue())
    body[60:90] = bytes(30)
    (tmp_path / "c1.npz").write_bytes(body)
    with pytest.raises(InvalidParameters, match=r"c1.npz' cannot be read: Error .* while decompressing"):
        tensors_in(tmp_path / "c1.npz")


def test_the_schema_of_a_file_is_that_of_its_tensors(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"w": np.zeros((2, 3), np.float32), "steps": np.zeros(1, np.int64)}
    safetensors.numpy.save_file(arrays, tmp_path / "m.safetensors")
    np.savez(tmp_path / "m.npz", allow_pickle=False, **arrays)
    schema = schema_in(tmp_path / "m.safetensors")
    assert schema == schema_in(tmp_path / "m.npz")
    assert [(spec.name, spec.dtype, spec.shape) for spec in schema.tensors] == [
        ("steps", "I64", (1,)),
        ("w", "F32", (2, 3)),
    ]


def test_spaces_behind_a_header_do_not_hide_the_schema(tmp_path: Path) -> None:
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' + b" " * (17 << 20)
    path = tmp_path / "padded.safetensors"
    path.write_bytes(file_of(header, bytes(4)))
    assert [tensor.name for tensor in schema_in(path).tensors] == ["w"]


def test_only_the_header_of_a_safetensors_file_is_read(tmp_path: Path) -> None:
    body = safetensors.numpy.save({"w": np.zeros(1000, np.float32)})
    path = tmp_path / "cut.safetensors"
    path.write_bytes(body[: 8 + int.from_bytes(body[:8], "little")])
    assert schema_in(path).parameters == 1000


@pytest.mark.parametrize("body", [b"", b"\xff" * 8, b"\x02\x00\x00\x00\x00\x00\x00\x00{]"])
def test_a_header_that_is_none_is_refused(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(body)
    with pytest.raises(InvalidTensors):
        schema_in(path)


@pytest.fixture
def group() -> click.Group:
    """A group that lists, shows and deletes."""

    @click.group(cls=ListingGroup, context_settings={"help_option_names": ["-h", "--help"]})
    def things() -> None:
        """Things."""

    @things.command("list")
    @click.option("--json", "as_json", is_flag=True)
    def list_(as_json: bool) -> None:
        click.echo(f"list {as_json}")

    @things.command("show")
    @click.argument("name")
    @click.option("--json", "as_json", is_flag=True)
    def show(name: str, as_json: bool) -> None:
        click.echo(f"show {name} {as_json}")

    @things.command("delete")
    @click.argument("name")
    def delete(name: str) -> None:
        click.echo(f"delete {name}")

    return things


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([], "list False\n"),
        (["--json"], "list True\n"),
        (["list", "--json"], "list True\n"),
        (["digits"], "show digits False\n"),
        (["digits", "--json"], "show digits True\n"),
        (["show", "list"], "show list False\n"),
        (["delete", "digits"], "delete digits\n"),
    ],
)
def test_a_listing_group_guesses_the_subcommand(group: click.Group, arguments: list[str], output: str) -> None:
    assert CliRunner().invoke(group, arguments).output == output


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_of_a_listing_group_lists_its_subcommands_in_order(group: click.Group, option: str) -> None:
    lines = CliRunner().invoke(group, [option]).output.splitlines()
    assert [line.strip() for line in lines[lines.index("Commands:") + 1 :]] == ["list", "show", "delete"]


def test_a_lazy_command_shows_its_summary_and_loads_when_called() -> None:
    lazy = LazyCommand("dumps", "json:dumps", "Not a command.")
    assert lazy.get_short_help_str() == "Not a command."
    with pytest.raises(AssertionError):
        lazy.load()
    absent = LazyCommand("absent", "no_such_module:command", "Is not there.")
    with pytest.raises(ModuleNotFoundError):
        absent.load()
