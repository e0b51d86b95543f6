"""Programs over any operators with any operands, in a confined process, are answered or refused, and never end it.

Operands lie beside pages that cannot be touched (`tests.models.fuzzing`). A case that ends its process ends nothing
else, so hypothesis can look for the smallest one that does.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, InvalidProgram, RunTooLarge
from flstore_core.models.program import Node, Ref
from services.predictor.confined.launch import Launcher
from services.predictor.confined.pool import Pool
from services.predictor.confined.process import ConfinedProcess
from tests.models.fuzzing import Case, Laid, Maker
from tests.predictor.confined.fuzzed import decoded, encoded
from tests.predictor.confined.probing import bound, leased, pool

CASES = int(os.environ.get("FLSTORE_FUZZ_CASES", "250"))
COMMAND = (sys.executable, "-B", str(Path(__file__).with_name("fuzzed.py")))
UNEXPECTED = ("the program failed", "the program ended its process")


def case_of(chosen: Random) -> Case:
    return Maker(chosen).case()


CASE = st.randoms(use_true_random=False).map(case_of)


def wrong(process: ConfinedProcess, case: Case) -> str:
    """Return what is wrong with how a case ended."""
    try:
        (said,) = bound(process)(*encoded(case))
    except (InvalidParameters, InvalidProgram, RunTooLarge) as error:
        return error.detail if error.detail.startswith(UNEXPECTED) else ""
    return said.tobytes().decode()


@pytest.fixture(scope="module")
def processes() -> Iterator[Pool]:
    found = pool(launcher=Launcher(COMMAND))
    yield found
    found.close()


@given(CASE)
@settings(
    max_examples=CASES,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_program_over_any_operators_is_answered_or_refused_and_never_ends_its_process(
    processes: Pool, case: Case
) -> None:
    note("\n".join(map(str, [*case.nodes, *case.laid])))
    with leased(processes) as process:
        assert not wrong(process, case)
        assert not process.spoiled


def test_a_refusal_for_which_pytorch_prints_a_tensor_names_the_operator(processes: Pool) -> None:
    case = Case(
        [Node("aten.floor.default", ([Ref("x0")],), {}, ["out"])], [Laid(torch.ones(2), (2,), (1,), right=True)]
    )
    with leased(processes) as process, pytest.raises(InvalidProgram, match=r"aten\.floor\.default failed: aten::floor"):
        bound(process)(*encoded(case))


@given(CASE)
@settings(max_examples=20, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_case_arrives_as_it_was_sent(case: Case) -> None:
    same = decoded(encoded(case))
    assert str(same.nodes) == str(tuple(case.nodes))
    assert [(str(each), each.flat.dtype) for each in same.laid] == [(str(each), each.flat.dtype) for each in case.laid]
