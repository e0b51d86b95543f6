"""Programs that take too much or end their process: what their callers are told, and that the next one is answered."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
import torch
from torch import Tensor

from flstore_core.files import FileName, Files
from flstore_core.ids import ClientId
from flstore_core.model_names import ModelName
from flstore_core.models.protocol import RUN
from services.predictor import following
from tests.models.networks import Perceptron, exported
from tests.models.small import HOME, JOB
from tests.predictor.predictors import Predictor
from tests.predictor.processes import launcher
from tests.waiting import alive, children_of, eventually, soon

MIB = 2**20


class Expanding(Perceptron):
    """A perceptron that writes down the first number of each row 8 million times, in 32 MiB."""

    def forward(self, images: Tensor) -> Tensor:
        many = images[:, :1].expand(-1, 2**23).clone()
        return super().forward(images) + many[:, :1]


@pytest.fixture
async def predictor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Predictor]:
    monkeypatch.setattr(following, "PROGRESS_EVERY_S", 60.0)  # an error has a status, however slow this machine is
    predictor = Predictor()
    yield predictor
    await predictor.http.aclose()
    predictor.state.processes.forget(JOB)


def processes() -> set[int]:
    """Return the processes of programs, of whichever test."""
    zygote = launcher()._running
    assert zygote is not None
    return set(children_of(zygote._process.pid))


async def process_of(predictor: Predictor) -> int:
    """Return the process of the job's program, which waits for the next request."""
    before = processes()
    assert (await predictor.infer("1")).status_code == 200
    (pid,) = processes() - before
    return pid


async def evaluated(predictor: Predictor) -> httpx.Response:
    """Run a workload. Unlike an inference, it does not look first whether the program can be run."""
    return await predictor.http.post(RUN, json=predictor.request(ModelName(1, ClientId("a"))))


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    ("settings", "detail"),
    [
        ({"run_bytes": 64 * MIB}, "aten.clone.default the program's results hold 256.0 MiB"),
        ({"run_bytes": 512 * MIB, "memory_bytes": 512 * MIB}, "aten.clone.default asks for more memory than there is"),
    ],
    ids=["results past their limit", "process past its limit"],
)
async def test_a_program_that_takes_too_much_is_told_the_operator_and_the_next_request_is_answered(
    settings: dict[str, int], detail: str
) -> None:
    predictor = Predictor(**settings)
    Files(predictor.store).put(FileName.program(HOME), exported(Expanding(4, 3, 2), torch.zeros(2, 4)), {}, 0.0)
    answer = await predictor.infer("1", np.ones((8, 4), np.float32))
    assert told(answer) == (507, "run-too-large")
    assert detail in answer.json()["detail"]
    assert (await predictor.infer("1", np.ones((1, 4), np.float32))).status_code == 200
    await predictor.http.aclose()


@pytest.mark.parametrize(
    ("number", "status", "code", "detail"),
    [
        (signal.SIGSEGV, 422, "invalid-program", "ended its process by SIGSEGV"),
        (signal.SIGKILL, 507, "run-too-large", "the system ended the program's process"),
        (signal.SIGXCPU, 422, "run-too-long", "used up its processor time"),
    ],
)
async def test_a_program_whose_process_dies_at_work_is_told_why_and_the_next_request_is_answered(
    predictor: Predictor, number: signal.Signals, status: int, code: str, detail: str
) -> None:
    pid = await process_of(predictor)
    os.kill(pid, signal.SIGSTOP)  # it is at work, and stays so, until it dies
    asked = asyncio.create_task(evaluated(predictor))
    await soon(lambda: bool(predictor.state.processes._busy))
    os.kill(pid, number)
    os.kill(pid, signal.SIGCONT)
    answer = await asked
    assert told(answer) == (status, code)
    assert detail in answer.json()["detail"]
    assert await process_of(predictor) != pid


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
async def test_a_process_that_dies_while_it_waits_is_no_fault_of_the_next_request(
    predictor: Predictor, number: signal.Signals
) -> None:
    pid = await process_of(predictor)
    os.kill(pid, number)
    eventually(lambda: not alive(pid))
    answer = await evaluated(predictor)
    assert answer.status_code == 200, answer.text
