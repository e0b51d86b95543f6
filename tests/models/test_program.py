"""A program's JSON: what is understood, and what is refused by its name."""

import math
from typing import Any

import pytest

from flstore_core.errors import InvalidProgram
from flstore_core.models import program as program_module
from flstore_core.models.operators import CHECKS
from flstore_core.models.program import Input, Node, Ref, TorchValue, parse_program


def tensor(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def operand(value: Any, kind: int = 1, name: str = "self") -> dict[str, Any]:
    return {"name": name, "arg": value, "kind": kind}


def call(target: str = "torch.ops.aten.relu.default", *operands: Any, outputs: Any = None) -> dict[str, Any]:
    return {
        "target": target,
        "inputs": [operand(each) for each in operands or (tensor("x"),)],
        "outputs": outputs or [tensor("out")],
    }


def document(*nodes: Any, inputs: Any = None, outputs: Any = None, major: int = 8) -> dict[str, Any]:
    """Return the JSON of a program with one input `x` of shape (any, 3), and `out` as its output."""
    sizes = [{"as_expr": {"expr_str": "s0"}}, {"as_int": 3}]
    return {
        "schema_version": {"major": major, "minor": 0},
        "graph_module": {
            "graph": {"nodes": list(nodes) or [call()], "tensor_values": {"x": {"dtype": 7, "sizes": sizes}}},
            "signature": {
                "input_specs": inputs or [{"user_input": {"arg": tensor("x")}}],
                "output_specs": outputs or [{"user_output": {"arg": tensor("out")}}],
            },
        },
    }


def first_operand(union: Any) -> Any:
    (node,) = parse_program(document(call("torch.ops.aten.relu.default", union))).nodes
    return node.args[0]


def test_the_example_of_the_module_is_read() -> None:
    node = {
        "target": "torch.ops.aten.linear.default",
        "inputs": [operand(tensor("x"), name="input"), operand(tensor("p_weight"), name="weight")],
        "outputs": [tensor("linear")],
    }
    (parsed,) = parse_program(document(node, outputs=[{"user_output": {"arg": tensor("linear")}}])).nodes
    assert parsed == Node("aten.linear.default", (Ref("x"), Ref("p_weight")), {}, ["linear"])


def test_inputs_have_dtype_and_shape_with_open_sizes() -> None:
    assert parse_program(document()).inputs == (Input("x", "F32", (None, 3)),)


def test_operands_by_keyword_are_kept_apart() -> None:
    node = call("torch.ops.aten.add.Tensor", tensor("x"), tensor("x"))
    node["inputs"].append(operand({"as_int": 3}, kind=2, name="alpha"))
    (parsed,) = parse_program(document(node)).nodes
    assert (parsed.args, parsed.kwargs) == ((Ref("x"), Ref("x")), {"alpha": 3})


@pytest.mark.parametrize(
    ("union", "value"),
    [
        ({"as_none": True}, None),
        ({"as_int": -7}, -7),
        ({"as_bool": True}, True),
        ({"as_string": "mean"}, "mean"),
        ({"as_float": 0.5}, 0.5),
        ({"as_float": 3}, 3.0),
        ({"as_float": {"$float": "Infinity"}}, math.inf),
        ({"as_float": {"$float": "-Infinity"}}, -math.inf),
        ({"as_ints": [1, 2]}, [1, 2]),
        ({"as_bools": [True, False]}, [True, False]),
        ({"as_floats": [0.5, {"$float": "Infinity"}]}, [0.5, math.inf]),
        ({"as_tensor": {"name": "x"}}, Ref("x")),
        ({"as_name": "x"}, Ref("x")),
        ({"as_tensors": [{"name": "x"}, {"name": "y"}]}, [Ref("x"), Ref("y")]),
        ({"as_optional_tensors": [{"as_tensor": {"name": "x"}}, {"as_none": True}]}, [Ref("x"), None]),
        ({"as_optional_tensor": {"as_none": True}}, None),
        ({"as_sym_int": {"as_name": "s"}}, Ref("s")),
        ({"as_sym_int": {"as_int": 4}}, 4),
        ({"as_sym_ints": [{"as_int": 4}, {"as_name": "s"}]}, [4, Ref("s")]),
        ({"as_scalar_type": 7}, TorchValue("as_scalar_type", 7)),
        ({"as_memory_format": 1}, TorchValue("as_memory_format", 1)),
        ({"as_layout": 7}, TorchValue("as_layout", 7)),
        ({"as_device": {"type": "cuda", "index": 3}}, TorchValue("as_device")),
    ],
)
def test_an_operand_of_each_kind_is_read(union: Any, value: Any) -> None:
    assert first_operand(union) == value


def test_not_a_number_is_an_operand() -> None:
    assert math.isnan(first_operand({"as_float": {"$float": "NaN"}}))


@pytest.mark.parametrize(
    ("union", "message"),
    [
        ({"as_graph": {}}, "kind 'as_graph'"),
        ({"as_custom_obj": {"name": "x"}}, "kind 'as_custom_obj'"),
        ({"as_operator": "os.system"}, "kind 'as_operator'"),
        ({"as_int": [1]}, "neither a number nor text"),
        ({"as_string": {"a": 1}}, "neither a number nor text"),
        ({"as_ints": [1, None]}, "neither a number nor text"),
        ({"as_float": "x"}, "not described as torch.export.save does"),
        ({"as_float": {"$float": "x"}}, "not described"),
        ({"as_int": 1, "as_bool": True}, "not described"),
        ({}, "not described"),
        ([], "not described"),
    ],
)
def test_an_operand_that_is_not_understood_is_refused(union: Any, message: str) -> None:
    with pytest.raises(InvalidProgram, match=message):
        first_operand(union)


def test_an_operand_nested_without_end_is_refused() -> None:
    union: dict[str, Any] = {}
    union["as_sym_int"] = union
    with pytest.raises(InvalidProgram, match="not described"):
        first_operand(union)


def test_results_may_be_nested_and_unread() -> None:
    outputs = [{"as_tensors": [{"name": "a"}, {"name": "b"}]}]
    node = call("torch.ops.aten.split.Tensor", tensor("x"), {"as_int": 2}, outputs=outputs)
    out = [{"user_output": {"arg": tensor("a")}}]
    (parsed,) = parse_program(document(node, outputs=out)).nodes
    assert parsed.results == [["a", "b"]]
    optional = [{"as_optional_tensors": [{"as_tensor": {"name": "a"}}, {"as_none": True}]}]
    (parsed,) = parse_program(document(call(outputs=optional), outputs=out)).nodes
    assert parsed.results == [["a", None]]


def test_parameters_buffers_and_constants_are_told_apart() -> None:
    inputs = [
        {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "layer.weight"}},
        {"buffer": {"arg": {"name": "b_mean"}, "buffer_name": "norm.mean", "persistent": True}},
        {"buffer": {"arg": {"name": "b_mask"}, "buffer_name": "mask", "persistent": False}},
        {"tensor_constant": {"arg": {"name": "c_0"}, "tensor_constant_name": "lifted_0"}},
        {"constant_input": {"name": "scale", "value": {"as_float": 0.5}}},
        {"user_input": {"arg": tensor("x")}},
    ]
    program = parse_program(document(inputs=inputs))
    assert program.parameters == {"p_w": "layer.weight", "b_mean": "norm.mean"}
    assert program.constants == {"b_mask": "mask", "c_0": "lifted_0"}
    assert program.fixed == {"scale": 0.5}
    assert [spec.name for spec in program.inputs] == ["x"]


@pytest.mark.parametrize("kind", ["custom_obj", "token"])
def test_other_kinds_of_input_are_refused(kind: str) -> None:
    with pytest.raises(InvalidProgram, match=f"takes a {kind}; only tensors and numbers can be inputs"):
        parse_program(document(inputs=[{kind: {"arg": {"name": "x"}}}]))


def test_outputs_may_be_lists_and_buffers_that_change_are_passed_over() -> None:
    outputs = [
        {"buffer_mutation": {"arg": {"name": "b"}, "buffer_name": "count"}},
        {"user_output": {"arg": {"as_tensors": [{"name": "a"}, {"name": "b"}]}}},
        {"user_output": {"arg": {"as_int": 3}}},
    ]
    assert parse_program(document(outputs=outputs)).outputs == ("a", "b")


def test_other_kinds_of_output_are_refused() -> None:
    with pytest.raises(InvalidProgram, match=r"answers with a loss_output; only tensors"):
        parse_program(document(outputs=[{"loss_output": {"arg": {"name": "x"}}}]))


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_checks_are_skipped(check: str) -> None:
    program = parse_program(document(call(f"torch.ops.aten.{check}.default"), call()))
    assert [node.operator for node in program.nodes] == ["aten.relu.default"]


@pytest.mark.parametrize(
    "target",
    ["torch.ops.aten.relu_.default", "torch.ops.aten.add.Tensor", "_operator.getitem", "torch.ops.aten.sym_size.int"],
)
def test_listed_operators_and_their_in_place_variants_are_allowed(target: str) -> None:
    (node,) = parse_program(document(call(target))).nodes
    assert node.operator == target.removeprefix("torch.ops.")


@pytest.mark.parametrize("major", [7, 9, 0, "8"])
def test_another_schema_version_is_refused(major: Any) -> None:
    with pytest.raises(InvalidProgram, match=rf"schema version {major}; version 8 is understood"):
        parse_program(document(major=major))


def test_a_program_of_too_many_operators_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_module, "MAX_NODES", 2)
    assert parse_program(document(call(), call()))
    with pytest.raises(InvalidProgram, match="has 3 operators; at most 2 are run"):
        parse_program(document(call(), call(), call()))


@pytest.mark.parametrize(
    "data",
    [{}, {"schema_version": 8}, {"schema_version": {"major": 8}}, {"schema_version": {"major": 8}, "graph_module": []}],
)
def test_what_is_no_program_is_refused(data: Any) -> None:
    with pytest.raises(InvalidProgram, match=r"not described as torch\.export\.save does"):
        parse_program(data)
