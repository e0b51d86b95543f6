"""An uploaded program is data: whatever an archive holds, nothing of it runs, and what is not understood is refused."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidProgram
from flstore_core.models.archive import MAX_JSON_BYTES, MAX_JSON_VALUES, read_archive
from flstore_core.models.executor import Executable
from flstore_core.models.loading import load as load_program
from flstore_core.models.program import parse_program
from flstore_core.models.running import Limits, Running
from flstore_core.schema import Schema, TensorSpec
from tests.models.networks import Perceptron, exported

PROGRAM = "model/models/model.json"
WEIGHTS = "model/data/weights/model_weights_config.json"
CONSTANTS = "model/data/constants/model_constants_config.json"
SAMPLES = "model/data/sample_inputs/model.pt"


@pytest.fixture(scope="module")
def archive() -> bytes:
    return exported(Perceptron(), torch.randn(2, 64))


class Touch:
    """Unpickled, it creates a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


def entries(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name.partition("/")[2]: file.read(name) for name in file.namelist()}


def packed(files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, data in files.items():
            file.writestr(f"model/{name}", data)
    return out.getvalue()


def edited(archive: bytes, name: str, edit: Callable[[Any], None]) -> bytes:
    """Return the archive with one of its JSON documents edited."""
    files = entries(archive)
    data = json.loads(files[name.partition("/")[2]])
    edit(data)
    return packed({**files, name.partition("/")[2]: json.dumps(data).encode()})


def load(archive: bytes) -> Executable:
    return load_program(Schema.of([TensorSpec("hidden.bias", "F32", (32,))]), archive).executable


def refused(archive: bytes, said: str) -> None:
    with pytest.raises(InvalidProgram, match=said):
        load(archive)


def node(data: Any) -> Any:
    return data["graph_module"]["graph"]["nodes"][0]


def test_pytorchs_own_loader_would_run_the_payload(archive: bytes, tmp_path: Path) -> None:
    """What is contained here is real: the day this fails, the reader of our own may no longer be needed."""
    files = entries(archive)
    config = json.loads(files["data/constants/model_constants_config.json"])
    config["config"]["trap"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    files["data/constants/model_constants_config.json"] = json.dumps(config).encode()
    files["data/constants/opaque_obj_0"] = pickle.dumps(Touch(tmp_path / "created"))
    hostile = packed(files)
    refused(hostile, "pickled")
    assert not (tmp_path / "created").exists()
    with suppress(Exception):  # whatever becomes of it after the payload has run
        torch.export.load(io.BytesIO(hostile))
    assert (tmp_path / "created").exists()


def test_a_pickled_weight_is_refused_unread(archive: bytes, tmp_path: Path) -> None:
    def trap(data: Any) -> None:
        data["config"]["out.bias"] |= {"use_pickle": True}

    files = entries(edited(archive, WEIGHTS, trap))
    path = json.loads(files["data/weights/model_weights_config.json"])["config"]["out.bias"]["path_name"]
    files[f"data/weights/{path}"] = pickle.dumps(Touch(tmp_path / "created"))
    refused(packed(files), "'out.bias' is pickled")
    assert not (tmp_path / "created").exists()


def test_the_sample_inputs_which_every_archive_pickles_are_never_opened(archive: bytes, tmp_path: Path) -> None:
    files = entries(archive)
    assert "data/sample_inputs/model.pt" in files
    files["data/sample_inputs/model.pt"] = pickle.dumps(Touch(tmp_path / "created"))
    load(packed(files))
    assert not (tmp_path / "created").exists()


def test_symbolic_sizes_are_never_evaluated(archive: bytes, tmp_path: Path) -> None:
    """PyTorch hands these strings to sympy, which evaluates them as Python."""
    made = tmp_path / "created"
    code = f"__import__('os').mkdir({str(made)!r})"

    def trap(data: Any) -> None:
        for meta in data["graph_module"]["graph"]["tensor_values"].values():
            meta["sizes"] = [{"as_expr": {"expr_str": code, "hint": None}}, *meta["sizes"][1:]]

    load(edited(archive, PROGRAM, trap))
    assert not made.exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.empty.memory_format",
        "torch.ops.aten.resize_.default",
        "torch.ops.aten.set_.source_Tensor",
        "torch.ops.aten.as_strided.default",
        "torch.ops.aten._reshape_alias.default",
        "torch.ops.aten._reshape_alias_.default",
        "torch.ops.aten.mul.left_t",
        "torch.ops.aten.add.out",
        "torch.ops.aten.relu",
        "torch.ops.prims.device_put.default",
        "torch.ops.higher_order.cond",
        "torch.ops.aten.__class__.mro",
        "os.system",
        "builtins.eval",
        "_operator.methodcaller",
        "_operator.pow",
        "torch.load",
        "",
    ],
)
def test_an_operator_that_is_not_on_the_list_is_refused(archive: bytes, target: str) -> None:
    refused(edited(archive, PROGRAM, lambda data: node(data).update(target=target)), "not among those")


def test_an_operator_that_does_not_exist_is_refused(archive: bytes) -> None:
    refused(
        edited(archive, PROGRAM, lambda data: node(data).update(target="torch.ops.aten.relu.nonsense")), "no operator"
    )


@pytest.mark.parametrize("kind", ["as_graph", "as_custom_obj", "as_operator", "as_complex", "eval"])
def test_an_operand_that_is_no_plain_value_is_refused(archive: bytes, kind: str) -> None:
    refused(edited(archive, PROGRAM, lambda data: node(data)["inputs"][0].update(arg={kind: {"name": "x"}})), "operand")


def test_a_program_cannot_write_to_the_weights(archive: bytes) -> None:
    def trap(data: Any) -> None:
        call = node(data)
        call["target"] = "torch.ops.aten.zero_.default"
        call["inputs"] = [{"name": "self", "arg": {"as_tensor": {"name": "p_hidden_weight"}}, "kind": 1}]

    program = load(edited(archive, PROGRAM, trap))
    weights = dict(Perceptron().state_dict())
    before = weights["hidden.weight"].clone()
    with pytest.raises(InvalidProgram, match="write to the model's weights"):
        program.run(weights, {}, [torch.randn(2, 64)], Running(Limits(), lambda: 0.0))
    assert torch.equal(weights["hidden.weight"], before)


def test_a_json_document_of_more_values_than_a_program_needs_is_refused_unparsed(archive: bytes) -> None:
    """Three bytes, `{},`, become an object of 75: 14 MiB of them would take 345 MiB."""
    document = b'{"a":[' + b",".join([b"{}"] * MAX_JSON_VALUES) + b"]}"
    assert len(document) < MAX_JSON_BYTES
    refused(packed({**entries(archive), "models/model.json": document}), "values; at most 2097152 are parsed")


def test_compiled_code_is_refused(archive: bytes) -> None:
    refused(packed({**entries(archive), "data/aotinductor/model/model.so": b"\x7fELF"}), "compiled code")


def test_compressed_entries_which_could_swell_are_refused(archive: bytes) -> None:
    bomb = {**entries(archive), "data/weights/weight_0": bytes(50_000_000)}
    small = packed(bomb, zipfile.ZIP_DEFLATED)
    assert len(small) < 1_000_000
    refused(small, "compressed")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sizes", [{"as_int": 2**40}]),
        ("sizes", [{"as_int": -1}]),
        ("strides", [{"as_int": 2**30}]),
        ("storage_offset", {"as_int": 31}),
        ("dtype", 99),
    ],
)
def test_a_tensor_that_lies_outside_of_its_file_is_refused(archive: bytes, field: str, value: Any) -> None:
    def trap(data: Any) -> None:
        data["config"]["hidden.bias"]["tensor_meta"][field] = value

    refused(edited(archive, WEIGHTS, trap), "hidden.bias")


@pytest.mark.parametrize("body", [b"", b"PK", b"not a zip", b"\x80\x04."])
def test_what_is_no_archive_is_refused(body: bytes) -> None:
    refused(body, "zip")


def test_the_format_before_archives_is_refused_with_what_would_be_right(archive: bytes) -> None:
    old = {"version": b"8.8", "serialized_exported_program.json": b"{}", "serialized_state_dict.pt": b""}
    refused(packed(old), "torch.export.save")


@given(data=st.data())
def test_no_damage_to_an_archive_causes_anything_but_a_refusal(archive: bytes, data: st.DataObject) -> None:
    damaged = bytearray(archive)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse_program(read_archive(bytes(damaged)).program)
    except InvalidProgram:
        return
