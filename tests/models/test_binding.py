"""Binding: slots, the order of steps, and when memory may be freed."""

import pytest
import torch
from torch import Tensor

from flstore_core.errors import InvalidProgram, RunTooLarge
from flstore_core.models.binding import Slot, bind
from flstore_core.models.executor import Executable
from flstore_core.models.program import Input, Node, Program, Ref, TorchValue
from flstore_core.models.running import Limits, Running
from flstore_core.models.torch_values import TORCH_DTYPES, operator_named, torch_value


def program(*nodes: Node, outputs: tuple[str, ...] = ("out",), inputs: tuple[str, ...] = ("x",)) -> Program:
    specs = tuple(Input(name, "F32", (None,)) for name in inputs)
    return Program(specs, {"p_weight": "weight", "p_bias": "bias"}, {}, {}, nodes, outputs)


def node(operator: str, *operands: str, result: str) -> Node:
    return Node(f"aten.{operator}", tuple(Ref(name) for name in operands), {}, [result])


EXAMPLE = program(
    node("linear.default", "x", "p_weight", "p_bias", result="linear"),
    node("relu.default", "linear", result="relu"),
    outputs=("relu",),
)
WEIGHTS = {"weight": torch.tensor([[1.0, 0.0], [0.0, -1.0]]), "bias": torch.tensor([0.0, 1.0])}


def run(bound: Program, *inputs: Tensor, limits: Limits | None = None) -> list[Tensor]:
    running = Running(limits or Limits(), lambda: 0.0)
    return list(Executable(bound).run(WEIGHTS, {}, list(inputs), running))


def test_the_example_of_the_module_holds() -> None:
    binding = bind(EXAMPLE)
    assert binding.slots == {"p_weight": 0, "p_bias": 1, "x": 2, "linear": 3, "relu": 4}
    linear, relu = binding.steps
    assert (linear.args, linear.makes, linear.last_uses) == ((Slot(2), Slot(0), Slot(1)), (3,), ())
    assert (relu.args, relu.makes, relu.last_uses) == ((Slot(3),), (4,), (3,))
    assert binding.outputs == (4,)
    (output,) = run(EXAMPLE, torch.tensor([2.0, 3.0]))
    assert output.tolist() == [2.0, 0.0]


def test_the_example_of_the_executor_holds() -> None:
    """After linear 4 KB are held, after relu 8 KB: 6 KB refuse relu, and 8 KB are enough."""
    wide = torch.ones(512, 2)
    with pytest.raises(RunTooLarge, match=r"with operator aten\.relu\.default the program's results hold 8\.0 KiB"):
        run(EXAMPLE, wide, limits=Limits(nbytes=6 * 1024))
    (output,) = run(EXAMPLE, wide, limits=Limits(nbytes=8 * 1024))
    assert output.shape == (512, 2)


def test_a_result_that_is_read_twice_is_freed_after_the_second() -> None:
    bound = bind(
        program(
            node("abs.default", "x", result="a"),
            node("neg.default", "a", result="b"),
            node("add.Tensor", "a", "b", result="out"),
        )
    )
    assert [step.last_uses for step in bound.steps] == [(), (), (bound.slots["a"], bound.slots["b"])]


def test_a_result_that_nobody_reads_is_freed_at_once() -> None:
    bound = bind(program(node("abs.default", "x", result="idle"), node("neg.default", "x", result="out")))
    assert bound.steps[0].last_uses == (bound.slots["idle"],)


def test_outputs_weights_and_inputs_are_never_freed() -> None:
    bound = bind(program(node("neg.default", "x", result="out"), node("abs.default", "out", result="idle")))
    freed = {slot for step in bound.steps for slot in step.last_uses}
    assert freed == {bound.slots["idle"]}


def test_an_input_that_is_an_output_comes_back() -> None:
    x = torch.tensor([1.0])
    assert run(program(outputs=("x",)), x) == [x]


def test_several_results_of_one_operator_have_slots_of_their_own() -> None:
    split = Node("aten.split.Tensor", (Ref("x"), 1), {}, [["first", None, "last"]])
    bound = program(split, node("add.Tensor", "first", "last", result="out"))
    binding = bind(bound)
    assert binding.steps[0].results == [binding.slots["first"], None, binding.slots["last"]]
    (output,) = run(bound, torch.tensor([1.0, 20.0, 300.0]))
    assert output.tolist() == [301.0]


def test_operands_in_lists_and_by_keyword_are_filled() -> None:
    cat = Node("aten.cat.default", ([Ref("x"), Ref("x")],), {}, ["cat"])
    scaled = Node("aten.add.Tensor", (Ref("cat"), 1), {"alpha": 10}, ["out"])
    (output,) = run(program(cat, scaled), torch.tensor([1.0]))
    assert output.tolist() == [11.0, 11.0]


def test_keyword_operands_may_be_results() -> None:
    item = Node("aten.sum.default", (Ref("x"),), {}, ["total"])
    clamp = Node("aten.clamp.Tensor", (Ref("x"),), {"max": Ref("total")}, ["out"])
    (output,) = run(program(item, clamp), torch.tensor([5.0, -4.0]))
    assert output.tolist() == [1.0, -4.0]


@pytest.mark.parametrize(
    ("nodes", "outputs", "name"),
    [
        ([node("neg.default", "nobody", result="out")], ("out",), "nobody"),
        ([node("neg.default", "later", result="out"), node("abs.default", "x", result="later")], ("out",), "later"),
        ([node("neg.default", "x", result="a")], ("missing",), "missing"),
    ],
)
def test_a_value_that_is_read_before_it_is_made_is_refused(
    nodes: list[Node], outputs: tuple[str, ...], name: str
) -> None:
    with pytest.raises(InvalidProgram, match=f"reads '{name}' before any operator has made it"):
        bind(program(*nodes, outputs=outputs))


@pytest.mark.parametrize("name", ["aten.relu.nonsense", "aten.no_such_operator.default"])
def test_an_operator_that_this_pytorch_lacks_is_named(name: str) -> None:
    with pytest.raises(InvalidProgram, match=f"PyTorch .* has no operator '{name}'"):
        operator_named(name)


def test_sizes_are_computed_with_pythons_operators() -> None:
    assert operator_named("_operator.mul")(6, 7) == 42
    assert operator_named("_operator.getitem")([1, 2], 1) == 2


@pytest.mark.parametrize(
    ("target", "writes"), [("relu_.default", True), ("relu.default", False), ("add_.Tensor", True)]
)
def test_operators_in_place_are_known_by_their_names(target: str, writes: bool) -> None:
    operands = ("x", "x") if target.startswith("add") else ("x",)
    assert bind(program(node(target, *operands, result="out"))).steps[0].writes is writes


def test_an_operator_in_place_may_write_to_a_result_but_not_to_an_input() -> None:
    clone = node("clone.default", "x", result="copy")
    (output,) = run(program(clone, node("neg_.default", "copy", result="out")), torch.tensor([1.0]))
    assert output.tolist() == [-1.0]
    for shared in ("x", "p_bias"):
        with pytest.raises(InvalidProgram, match="write to the model's weights or inputs"):
            run(program(node("neg_.default", shared, result="out")), torch.tensor([1.0]))
    assert WEIGHTS["bias"].tolist() == [0.0, 1.0]


def test_a_view_of_the_weights_cannot_be_written_to_either() -> None:
    view = Node("aten.view.default", (Ref("p_weight"), [4]), {}, ["flat"])
    with pytest.raises(InvalidProgram, match="write to the model's weights"):
        run(program(view, node("zero_.default", "flat", result="out")), torch.tensor([1.0]))


def test_views_and_in_place_results_take_no_memory() -> None:
    clone = node("clone.default", "x", result="copy")
    view = Node("aten.view.default", (Ref("copy"), [2, 512]), {}, ["view"])
    limits = Limits(nbytes=4 * 1024)
    (output,) = run(program(clone, view, node("neg_.default", "view", result="out")), torch.ones(1024), limits=limits)
    assert output.shape == (2, 512)


def test_neurons_are_shown_under_their_names() -> None:
    seen: dict[str, list[float]] = {}
    executable = Executable(EXAMPLE)
    executable.run(
        WEIGHTS,
        {},
        [torch.tensor([2.0, 3.0])],
        Running(Limits(), lambda: 0.0),
        lambda name, value: seen.update({name: value.tolist()}),
    )
    assert seen == {"linear": [2.0, -2.0]}


def test_a_failing_operator_is_named_with_its_first_line() -> None:
    with pytest.raises(InvalidProgram, match=r"operator aten\.linear\.default failed: .*(size|shape|dim)"):
        run(EXAMPLE, torch.ones(2, 7))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (TorchValue("as_scalar_type", 5), torch.int64),
        (TorchValue("as_scalar_type", 7), torch.float32),
        (TorchValue("as_scalar_type", 12), torch.bool),
        (TorchValue("as_scalar_type", 13), torch.bfloat16),
        (TorchValue("as_memory_format", 2), torch.channels_last),
        (TorchValue("as_layout", 7), torch.strided),
        (TorchValue("as_device"), torch.device("cpu")),
    ],
)
def test_numbers_mean_what_pytorchs_schema_says(value: TorchValue, expected: object) -> None:
    assert torch_value(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        TorchValue("as_scalar_type", 99),
        TorchValue("as_memory_format", 0),
        TorchValue("as_layout", 1),
        TorchValue("as_stream", 1),
    ],
)
def test_values_that_programs_may_not_use_are_refused(value: TorchValue) -> None:
    with pytest.raises(InvalidProgram, match=f"operand {value.kind} {value.code} is not one that programs may use"):
        torch_value(value)


def test_scalar_types_are_those_of_pytorchs_own_serializer() -> None:
    from torch._export.serde.schema import ScalarType

    names = {"BYTE": "uint8", "CHAR": "int8", "SHORT": "int16", "INT": "int32", "LONG": "int64", "HALF": "float16"}
    names |= {"FLOAT": "float32", "DOUBLE": "float64", "BOOL": "bool", "BFLOAT16": "bfloat16"}
    for name, dtype in names.items():
        assert torch_value(TorchValue("as_scalar_type", int(ScalarType[name]))) is getattr(torch, dtype)


def test_dtypes_have_the_sizes_that_safetensors_says() -> None:
    from flstore_core.schema import ITEMSIZE

    assert {code: dtype.itemsize for code, dtype in TORCH_DTYPES.items()} == {
        code: size for code, size in ITEMSIZE.items() if code in TORCH_DTYPES
    }
