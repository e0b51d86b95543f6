"""A zygote whose processes run fuzzed programs, and answer with what is wrong with the results.

    python fuzzed.py FD

It is the real one but for where a program comes from: from a run's inputs, so that one process can run many.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

import numpy as np
import torch
from numpy.typing import NDArray

from flstore_core.models.program import parse_program
from services.predictor.confined import zygote
from services.predictor.confined.wire import Message, packed, unpacked
from services.predictor.confined.worker import Worker
from tests.models.fuzzing import Case, Laid, differences, functions
from tests.models.serialised import serialised

Bytes = NDArray[np.uint8]


def encoded(case: Case) -> list[Bytes]:
    """Return a case as inputs of a run: a description in JSON, and each tensor's numbers in order."""
    laid = [[str(each.flat.dtype)[6:], each.shape, each.strides, each.right] for each in case.laid]
    text = json.dumps({"program": serialised(case.program()), "laid": laid}).encode()
    return [np.frombuffer(text, np.uint8), *(each.flat.view(torch.uint8).numpy() for each in case.laid)]


def decoded(inputs: list[Bytes]) -> Case:
    """Return the case of a run's inputs, its program parsed as one that was uploaded."""
    about = json.loads(inputs[0].tobytes())
    laid = []
    for (dtype, shape, strides, right), numbers in zip(about["laid"], inputs[1:], strict=True):
        kind = getattr(torch, dtype)
        flat = torch.from_numpy(numbers.copy()).view(kind) if numbers.size else torch.empty(0, dtype=kind)
        laid.append(Laid(flat, tuple(shape), tuple(strides), right))
    return Case(parse_program(about["program"]).nodes, laid)


class CaseWorker(Worker):
    """Takes the worker's place."""

    def _load(self, message: Message) -> tuple[dict[str, Any], list[memoryview]]:
        return {"inputs": []}, []

    def _run(self, message: Message) -> tuple[dict[str, Any], list[memoryview]]:
        case = decoded(unpacked(message.header["arrays"], message.body))
        wrong = "; ".join(differences(case)).encode()
        rows, body = packed([np.frombuffer(wrong, np.uint8)])
        return {"names": [], "arrays": rows}, body


if __name__ == "__main__":
    replaced: Any = zygote
    replaced.Worker = CaseWorker
    functions()  # looks up what PyTorch loads when it is first asked
    zygote.main()
