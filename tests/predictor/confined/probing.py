"""Processes that are asked to do what a program should not be able to do."""

import atexit
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flstore_core.ids import JobId
from flstore_core.models.base import Model, Program
from flstore_core.models.memory import Memory
from flstore_core.models.running import Limits, Running
from flstore_core.schema import Schema, TensorSpec
from services.predictor.confined.launch import Launcher
from services.predictor.confined.limits import Bounds
from services.predictor.confined.pool import Pool
from services.predictor.confined.process import Bound, ConfinedProcess
from tests.predictor.confined.prober import NUMBERS, TO_THE_WIRE

COMMAND = (sys.executable, "-B", str(Path(__file__).with_name("prober.py")))
SCHEMA = Schema.of([TensorSpec("w", "F32", (2,))])
BOUNDS = Bounds(memory_bytes=256 * 2**20, mapped_bytes=2**30, seconds=600.0, threads=2)


@cache
def probing() -> Launcher:
    """Return the one launcher of probing processes in this test process."""
    found = Launcher(COMMAND)
    atexit.register(found.close)
    return found


def pool(bounds: Bounds = BOUNDS, most: int = 4, launcher: Launcher | None = None) -> Pool:
    return Pool(launcher or probing(), bounds, 2**20, most, time.monotonic)


def program(job: str = "job", sha256: str = "a") -> Program:
    return Program(JobId(job), SCHEMA, sha256, Memory.of(b"a program"))


def running(seconds: float = 600.0) -> Running:
    return Running(Limits(seconds), time.monotonic)


@contextmanager
def leased(processes: Pool, job: str = "job") -> Iterator[ConfinedProcess]:
    with processes.lease(program(job), running()) as process:
        yield process


def probe(process: ConfinedProcess, name: str) -> str:
    """Have a process do one of `PROBES`, or answer with one of `TO_THE_WIRE`; return what it says."""
    number = NUMBERS[name] if name in NUMBERS else -list(TO_THE_WIRE).index(name)
    (text,) = bound(process)(np.array([number], np.float32))
    return text.tobytes().decode()


def bound(process: ConfinedProcess) -> Bound:
    return process.bind([(1.0, Model("", SCHEMA, Memory.of(bytes(8))))], 1.0)


def batches(numbers: Sequence[int]) -> Iterator[list[NDArray[np.float32]]]:
    return ([np.array([number], np.float32)] for number in numbers)
