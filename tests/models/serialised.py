"""Writes a program in the JSON that `torch.export.save` does, which `flstore_core.models.program` describes."""

import math
from collections.abc import Mapping
from typing import Any

from flstore_core.models.program import BY_KEYWORD, SCHEMA_MAJOR, Operand, Program, Ref, TorchValue

FLOAT32 = 7
POSITIONAL = 1


def serialised(program: Program) -> Mapping[str, Any]:
    """Return a program without weights as JSON."""
    calls = []
    for node in program.nodes:
        operands = [("", operand, POSITIONAL) for operand in node.args]
        operands += [(name, operand, BY_KEYWORD) for name, operand in node.kwargs.items()]
        inputs = [{"name": name, "arg": _union(operand), "kind": kind} for name, operand, kind in operands]
        outputs = [_union(Ref(str(name))) for name in node.results]
        calls.append({"target": f"torch.ops.{node.operator}", "inputs": inputs, "outputs": outputs})
    graph = {
        "nodes": calls,
        "tensor_values": {each.name: {"dtype": FLOAT32, "sizes": []} for each in program.inputs},
    }
    signature = {
        "input_specs": [{"user_input": {"arg": _union(Ref(each.name))}} for each in program.inputs],
        "output_specs": [{"user_output": {"arg": _union(Ref(name))}} for name in program.outputs],
    }
    return {
        "schema_version": {"major": SCHEMA_MAJOR},
        "graph_module": {"graph": graph, "signature": signature},
    }


def _union(operand: Operand) -> dict[str, Any]:
    match operand:
        case None:
            return {"as_none": True}
        case Ref(name):
            return {"as_tensor": {"name": name}}
        case TorchValue(kind, code):
            return {kind: code}
        case bool():
            return {"as_bool": operand}
        case int():
            return {"as_int": operand}
        case float():
            return {"as_float": _number(operand)}
        case str():
            return {"as_string": operand}
        case _:
            return _list(operand)


def _list(operands: list[Operand]) -> dict[str, Any]:
    if any(each is None or isinstance(each, Ref) for each in operands):
        return {"as_optional_tensors": [_union(each) for each in operands]}
    if any(isinstance(each, float) for each in operands):
        return {"as_floats": [_number(float(each)) for each in operands]}
    return {"as_ints": operands}


def _number(value: float) -> Any:
    return value if math.isfinite(value) else {"$float": str(value)}
