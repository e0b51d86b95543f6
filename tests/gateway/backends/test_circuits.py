"""Circuits: a backend that hangs holds few threads, and others are called as ever."""

from contextlib import ExitStack

import pytest
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError

from flstore_core.errors import BackendSilent, NotFound, Unavailable
from services.gateway.backends.circuits import MOST_SILENT, SILENT_S, TRIALS, Circuits
from tests.fakes.clock import Clock

A, B = "http://a", "http://b"


def wait_for(circuits: Circuits, url: str, calls: int) -> ExitStack:
    """Have so many calls wait until the stack is closed."""
    waiting = ExitStack()
    for _ in range(calls):
        waiting.enter_context(circuits.call(url))
    return waiting


def call_in_vain(circuits: Circuits, error: Exception) -> None:
    with pytest.raises(type(error)), circuits.call(A):
        raise error


def is_open(circuits: Circuits, url: str) -> bool:
    try:
        with circuits.call(url):
            return True
    except BackendSilent:
        return False


def test_the_example_of_the_module() -> None:
    clock = Clock()
    circuits = Circuits(clock)
    waiting = wait_for(circuits, A, 5)
    clock.now += SILENT_S + 1
    waiting.enter_context(wait_for(circuits, A, 11))
    with pytest.raises(BackendSilent, match="http://a has not answered for 11 s, and 16 calls wait for it"):
        circuits.call(A).__enter__()
    assert is_open(circuits, B)
    with pytest.raises(ConnectTimeoutError), waiting:
        raise ConnectTimeoutError
    trials = wait_for(circuits, A, TRIALS)
    assert not is_open(circuits, A)
    trials.close()
    with wait_for(circuits, A, MOST_SILENT + 1):
        assert is_open(circuits, A)


def test_a_backend_that_answers_may_have_any_number_of_calls_waiting() -> None:
    clock = Clock()
    circuits = Circuits(clock)
    with wait_for(circuits, A, MOST_SILENT):
        for _ in range(4):
            clock.now += SILENT_S
            assert is_open(circuits, A)


def test_a_refusal_is_an_answer_too() -> None:
    circuits = Circuits(Clock())
    call_in_vain(circuits, ConnectTimeoutError())
    call_in_vain(circuits, NotFound("no such slice"))
    with wait_for(circuits, A, TRIALS):
        assert is_open(circuits, A)


@pytest.mark.parametrize(
    "error",
    [NewConnectionError(None, "refused"), ProtocolError("broke off"), ZeroDivisionError()],  # type: ignore[arg-type]
)
def test_what_fails_at_once_holds_no_thread_and_opens_nothing(error: Exception) -> None:
    circuits = Circuits(Clock())
    call_in_vain(circuits, error)
    with wait_for(circuits, A, TRIALS):
        assert is_open(circuits, A)


def test_a_silent_backend_is_one_that_cannot_be_reached() -> None:
    assert issubclass(BackendSilent, Unavailable)
