"""What the process of a program cannot do, however much of it a program has got hold of."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flstore_core.errors import InvalidProgram, RunTooLarge, RunTooLong
from services.predictor.confined.limits import Bounds
from services.predictor.confined.pool import Pool
from services.predictor.confined.process import ConfinedProcess
from tests.predictor.confined.prober import NUMBERS, TO_THE_WIRE
from tests.predictor.confined.probing import BOUNDS, batches, bound, leased, pool, probe

REFUSED = f"errno {errno.EPERM}"


@pytest.fixture(scope="module")
def processes() -> Pool:
    return pool()


@pytest.fixture
def process(processes: Pool) -> Iterator[ConfinedProcess]:
    with leased(processes) as found:
        yield found


@pytest.mark.parametrize(
    "act",
    [
        "read a file",
        "read the predictor's environment",
        "read the predictor's memory",
        "write a file",
        "list a folder",
        "make a file in memory",
        "open a socket",
        "connect inside",
        "run a program",
        "make a process",
        "send a signal",
        "trace the predictor",
        "leave its user",
        "undo a limit",
    ],
)
def test_it_can_do_nothing_but_compute(process: ConfinedProcess, act: str) -> None:
    assert probe(process, act) == REFUSED
    assert probe(process, "alive") == "yes"


def test_it_computes_with_several_threads(process: ConfinedProcess) -> None:
    assert probe(process, "two threads") == "1000000.0"


def test_it_has_no_environment_and_nothing_open_but_its_connection(process: ConfinedProcess) -> None:
    names = set(probe(process, "environment").strip("[]").replace("'", "").split(", "))
    own = {"OPENBLAS_NUM_THREADS", "LC_CTYPE", "TORCHINDUCTOR_CACHE_DIR"}
    assert names <= own, "Python and PyTorch set the last two themselves"
    assert probe(process, "descriptors") == "[0, 1, 2]"


def test_it_has_no_privileges_and_may_write_nothing(process: ConfinedProcess) -> None:
    status = Path(f"/proc/{probe(process, 'pid')}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2", "a filter is installed"
    assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    limits = probe(process, "limits")
    for name in ("FSIZE", "CORE", "MEMLOCK"):
        assert f"'{name}': (0, 0)" in limits


def test_memory_past_its_limit_is_refused_and_the_process_goes_on(process: ConfinedProcess) -> None:
    with pytest.raises(RunTooLarge, match="no memory"):
        probe(process, "allocate")
    assert probe(process, "alive") == "yes"


@pytest.mark.parametrize(
    ("act", "said"),
    [("crash", "SIGSEGV"), ("abort", "SIGABRT"), ("exit", "exit code 3")],
)
def test_a_process_that_ends_is_its_programs_fault_and_the_next_request_gets_another(
    processes: Pool, act: str, said: str
) -> None:
    with pytest.raises(InvalidProgram, match=f"the program ended its process by {said}"), leased(processes) as process:
        probe(process, act)
    with leased(processes) as process:
        assert probe(process, "alive") == "yes"


def test_the_kernels_last_means_is_told_as_a_lack_of_memory(processes: Pool) -> None:
    with leased(processes) as process:
        pid = int(probe(process, "pid"))
        os.kill(pid, 9)
        with pytest.raises(RunTooLarge, match="the system ended the program's process"):
            probe(process, "alive")


def test_processor_time_past_its_limit_ends_it() -> None:
    short = pool(Bounds(BOUNDS.memory_bytes, BOUNDS.mapped_bytes, seconds=1.0, threads=1))
    with pytest.raises(RunTooLong, match="used up its processor time"), leased(short) as process:
        probe(process, "spin")


@pytest.mark.parametrize("answer", [name for name in TO_THE_WIRE if name])
def test_what_is_no_answer_is_the_programs_fault(processes: Pool, answer: str) -> None:
    with pytest.raises(InvalidProgram, match="sent what is no answer"), leased(processes) as process:
        probe(process, answer)
    assert process.spoiled
    with leased(processes) as another:
        assert another is not process
        assert probe(another, "alive") == "yes"


def test_answers_come_in_the_order_of_the_batches_and_many_are_on_their_way(process: ConfinedProcess) -> None:
    numbers = [NUMBERS["alive"], NUMBERS["two threads"]] * 100
    texts = [outputs[0].tobytes().decode() for outputs in bound(process).stream(batches(numbers))]
    assert texts == ["yes", "1000000.0"] * 100
    assert probe(process, "alive") == "yes"


@pytest.mark.parametrize(("taken", "under_way"), [(0, False), (1, False), (50, True)])
def test_a_process_whose_answers_nobody_has_read_is_not_asked_again(
    processes: Pool, taken: int, under_way: bool
) -> None:
    with leased(processes) as process:
        results = bound(process).stream(batches([NUMBERS["alive"]] * 100))
        for _ in range(taken):
            next(results)
        del results
        assert process.spoiled == under_way


def test_an_error_in_the_middle_of_many_batches_is_raised_at_its_place(processes: Pool) -> None:
    numbers = [*[NUMBERS["alive"]] * 60, NUMBERS["allocate"], *[NUMBERS["alive"]] * 60]
    outputs: list[object] = []
    with leased(processes) as process:
        results = bound(process).stream(batches(numbers))
        with pytest.raises(RunTooLarge):
            outputs.extend(results)
        assert process.spoiled
    assert len(outputs) == 60
