"""An exported program as plain data: inputs, parameters by name, and the operators in the order in which they run.

The JSON is that of `torch._export.serde.schema`, major version 8. It comes from outside, so every operator is checked
against the list of `flstore_core.models.operators`, and every operand must be of a kind that `_OPERANDS` names. For
relu(x @ wᵀ) the part of the JSON that is read, shortened, and what it becomes:

    {"target": "torch.ops.aten.linear.default",
     "inputs": [{"name": "input",  "arg": {"as_tensor": {"name": "x"}}, "kind": 1},
                {"name": "weight", "arg": {"as_tensor": {"name": "p_weight"}}, "kind": 1}],
     "outputs": [{"as_tensor": {"name": "linear"}}]}

    Node("aten.linear.default", args=(Ref("x"), Ref("p_weight")), kwargs={}, results=["linear"])

`kind` 1 is a positional operand, 2 one by keyword. A union is an object with one key, which says the kind of its value.
Symbolic shapes ("expr_str") are never evaluated: sizes are computed anew from the tensors at hand, by the
operators that the program has for it (`aten.sym_size`, `_operator.mul`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.errors import InvalidProgram
from flstore_core.models.archive import DTYPES
from flstore_core.models.operators import ARITHMETIC, ATEN, CHECKS

SCHEMA_MAJOR = 8
MAX_NODES = 200_000
BY_KEYWORD = 2
"""Kind of an operand that is passed by keyword."""


@dataclass(frozen=True, slots=True)
class Ref:
    """An operand that is another operator's result, or an input."""

    name: str


@dataclass(frozen=True, slots=True)
class TorchValue:
    """An operand that only PyTorch can make: a dtype, memory format, layout or device."""

    kind: str
    code: int = 0


Operand = Any
"""None, bool, int, float, str, `Ref`, `TorchValue`, or a list of those."""

Names = list["str | Names | None"]
"""Names of an operator's results, nested as they come; None for a result that is not a tensor or number."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operator."""

    operator: str
    """Such as `aten.linear.default` or `_operator.mul`."""
    args: tuple[Operand, ...]
    kwargs: Mapping[str, Operand]
    results: Names


@dataclass(frozen=True, slots=True)
class Input:
    """An input tensor that the caller passes."""

    name: str
    dtype: str
    """safetensors dtype code."""
    shape: tuple[int | None, ...]
    """None for a size that may differ from call to call."""


@dataclass(frozen=True)
class Program:
    """What an exported program does."""

    inputs: tuple[Input, ...]
    parameters: Mapping[str, str]
    """Name in the module of each value that is a parameter or buffer."""
    constants: Mapping[str, str]
    """Name in the archive of each value that is a constant tensor or a buffer that is not saved."""
    fixed: Mapping[str, Operand]
    """Inputs that were plain numbers when the program was exported."""
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]


def parse_program(data: Mapping[str, Any]) -> Program:
    """Return the program that the JSON `data` describes.

    Raises:
        InvalidProgram: naming an operator that is not allowed, or what else is not understood.
    """
    try:
        major = data["schema_version"]["major"]
        if major != SCHEMA_MAJOR:
            raise InvalidProgram(f"the program has schema version {major}; version {SCHEMA_MAJOR} is understood")
        module = data["graph_module"]
        return _program(module["graph"], module["signature"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InvalidProgram(f"the program is not described as torch.export.save does: {error!r:.200}") from error


def _program(graph: Mapping[str, Any], signature: Mapping[str, Any]) -> Program:
    specs = [_one(spec) for spec in signature["input_specs"]]
    if len(graph["nodes"]) > MAX_NODES:
        raise InvalidProgram(f"the program has {len(graph['nodes'])} operators; at most {MAX_NODES} are run")
    parameters, constants = _named_tensors(specs)
    user = [_one(spec["arg"])[1] for kind, spec in specs if kind == "user_input"]
    return Program(
        inputs=tuple(_input(graph, arg["name"]) for arg in user if isinstance(arg, dict)),
        parameters=parameters,
        constants=constants,
        fixed={spec["name"]: _one(spec["value"])[1] for kind, spec in specs if kind == "constant_input"},
        nodes=tuple(_nodes(graph["nodes"])),
        outputs=tuple(_outputs(signature["output_specs"])),
    )


def _named_tensors(specs: Sequence[tuple[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    parameters: dict[str, str] = {}
    constants: dict[str, str] = {}
    for kind, spec in specs:
        match kind:
            case "parameter":
                parameters[spec["arg"]["name"]] = spec["parameter_name"]
            case "buffer":
                (parameters if spec["persistent"] else constants)[spec["arg"]["name"]] = spec["buffer_name"]
            case "tensor_constant":
                constants[spec["arg"]["name"]] = spec["tensor_constant_name"]
            case "user_input" | "constant_input":
                pass
            case _:
                raise InvalidProgram(f"the program takes a {kind}; only tensors and numbers can be inputs")
    return parameters, constants


def _input(graph: Mapping[str, Any], name: str) -> Input:
    meta = graph["tensor_values"][name]
    return Input(name, DTYPES[meta["dtype"]], tuple(size.get("as_int") for size in meta["sizes"]))


def _outputs(specs: Sequence[Any]) -> Iterator[str]:
    for kind, spec in map(_one, specs):
        if kind == "user_output":
            argument = _operand(spec["arg"])
            for part in argument if isinstance(argument, list) else [argument]:
                if isinstance(part, Ref):
                    yield part.name
        elif kind != "buffer_mutation":
            raise InvalidProgram(f"the program answers with a {kind}; only tensors can be returned")


def _nodes(entries: Sequence[Any]) -> Iterator[Node]:
    for entry in entries:
        operator = _allowed(entry["target"])
        if operator is None:
            continue
        args = tuple(_operand(each["arg"]) for each in entry["inputs"] if each.get("kind") != BY_KEYWORD)
        kwargs = {
            str(each["name"]): _operand(each["arg"]) for each in entry["inputs"] if each.get("kind") == BY_KEYWORD
        }
        yield Node(operator, args, kwargs, [_result(output) for output in entry["outputs"]])


def _allowed(target: str) -> str | None:
    """Return the operator's short name, None for a check that is skipped; raise `InvalidProgram` for any other."""
    if target in ARITHMETIC:
        return target
    operator = target.removeprefix("torch.ops.")
    namespace, _, rest = operator.partition(".")
    name, _, overload = rest.partition(".")
    if namespace == "aten" and name in CHECKS:
        return None
    listed = namespace == "aten" and name.removesuffix("_") in ATEN
    if not listed or not overload or "out" in overload.split("_"):
        raise InvalidProgram(f"operator {target[:100]!r} is not among those that programs may use")
    return operator


def _one(union: Mapping[str, Any]) -> tuple[str, Any]:
    """Return kind and value of a union, an object with one key."""
    ((kind, value),) = union.items()
    return kind, value


def _operand(union: Mapping[str, Any]) -> Operand:
    kind, value = _one(union)
    if kind not in _OPERANDS:
        raise InvalidProgram(f"an operand is of kind {kind!r:.40}, which is not understood")
    return _OPERANDS[kind](value)


def _operands(values: Sequence[Mapping[str, Any]]) -> Operand:
    return [_operand(value) for value in values]


def _plain(value: Any) -> bool | int | str:
    if not isinstance(value, bool | int | str):
        raise InvalidProgram(f"operand {value!r:.40} is neither a number nor text")
    return value


def _float(value: Any) -> float:
    """Return a number; infinities and NaN are written as `{"$float": "Infinity"}`."""
    return float(value["$float"] if isinstance(value, dict) else value)


_OPERANDS: Mapping[str, Callable[[Any], Operand]] = {
    "as_none": lambda _: None,
    "as_name": lambda name: Ref(str(name)),
    "as_tensor": lambda value: Ref(str(value["name"])),
    "as_tensors": lambda values: [Ref(str(value["name"])) for value in values],
    **dict.fromkeys(("as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"), _operand),
    **dict.fromkeys(("as_sym_ints", "as_sym_floats", "as_sym_bools", "as_optional_tensors"), _operands),
    **dict.fromkeys(("as_int", "as_bool", "as_string"), _plain),
    **dict.fromkeys(("as_ints", "as_bools"), lambda values: [_plain(value) for value in values]),
    "as_float": _float,
    "as_floats": lambda values: [_float(value) for value in values],
    "as_scalar_type": lambda code: TorchValue("as_scalar_type", int(code)),
    "as_memory_format": lambda code: TorchValue("as_memory_format", int(code)),
    "as_layout": lambda code: TorchValue("as_layout", int(code)),
    "as_device": lambda _: TorchValue("as_device"),
}
"""How each kind of `Argument` is read. Programs, custom objects and operators as operands are not among them."""


def _result(union: Mapping[str, Any]) -> Any:
    """Return the name, or the list of names, that a result is bound to."""
    result = _operand(union)
    if isinstance(result, list):
        return [part.name if isinstance(part, Ref) else None for part in result]
    return result.name if isinstance(result, Ref) else None
