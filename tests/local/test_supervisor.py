"""Supervised children through every way they can behave: the real supervisor, with small real processes."""

import errno
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flstore_core.errors import Unavailable
from services.local import supervisor as module
from services.local.supervisor import Supervisor
from tests.local.conftest import READY_AND_LOYAL, MakePart
from tests.waiting import alive, eventually

Starts = Callable[[str], list[int]]


@contextmanager
def supervised(supervisor: Supervisor) -> Iterator[Supervisor]:
    try:
        yield supervisor
    finally:
        supervisor.stop()


def test_start_returns_when_all_parts_are_ready_and_stop_when_all_are_gone(part: MakePart, starts: Starts) -> None:
    with supervised(Supervisor([part("a", READY_AND_LOYAL), part("b", READY_AND_LOYAL)])) as supervisor:
        supervisor.start(20.0)
        pids = [*starts("a"), *starts("b")]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)


def test_start_does_not_wait_for_a_part_that_is_not_awaited(part: MakePart) -> None:
    dawdler = replace(part("dawdler", "import time; time.sleep(60)"), awaited=False)
    with supervised(Supervisor([part("a", READY_AND_LOYAL), dawdler])) as supervisor:
        supervisor.start(20.0)
        assert supervisor._children[1]._thread.ident is not None
        assert not supervisor._children[1]._ready


def test_a_part_inherits_the_socket_that_was_bound_for_it(part: MakePart) -> None:
    serving = part(
        "serving",
        """
import os, socket
listening = socket.socket(fileno=int(os.environ["FLSTORE_LISTEN_FD"]))
os.write(int(os.environ["FLSTORE_LIFELINE_FD"]), b"0\\n")
while True:
    connection, _ = listening.accept()
    connection.sendall(b"hello")
    connection.close()
""",
    )
    with supervised(Supervisor([serving])) as supervisor:
        supervisor.start(20.0)
        with socket.create_connection(serving.listening.getsockname()) as connection:
            assert connection.recv(5) == b"hello"


def test_a_part_that_dies_before_it_is_ready_is_an_error(part: MakePart, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        dying = Supervisor([part("fine", READY_AND_LOYAL), part("dying", "sys.exit('no store')")], log)
        message = "dying ended before it was ready; its log says why"
        with supervised(dying) as supervisor, pytest.raises(Unavailable, match=message):
            supervisor.start(20.0)
    assert (tmp_path / "log").read_text().startswith("no store\n")


def test_a_part_that_is_not_ready_in_time_is_an_error(part: MakePart, starts: Starts) -> None:
    silent = part("silent", "import time\nwhile True: time.sleep(1)")
    message = r"silent was not ready within 0\.01 s; its log says why"
    with supervised(Supervisor([silent])) as supervisor, pytest.raises(Unavailable, match=message):
        supervisor.start(0.01)
    assert not any(alive(pid) for pid in starts("silent"))


def test_a_part_that_dies_when_it_was_ready_is_started_again(
    part: MakePart, starts: Starts, caplog: pytest.LogCaptureFixture
) -> None:
    with supervised(Supervisor([part("a", READY_AND_LOYAL)])) as supervisor:
        supervisor.start(20.0)
        with caplog.at_level(logging.WARNING, "services.local.supervisor"):
            os.kill(starts("a")[0], signal.SIGKILL)
            eventually(lambda: len(starts("a")) == 2)
        first, second = starts("a")
        assert (alive(first), alive(second)) == (False, True)
    assert caplog.messages == ["a ended with exit code -9"]


def test_a_part_that_needs_several_starts_becomes_ready(part: MakePart, starts: Starts) -> None:
    shaky = part("shaky", f"if starts < 3: sys.exit(1)\n{READY_AND_LOYAL}")
    with supervised(Supervisor([shaky])) as supervisor:
        with pytest.raises(Unavailable, match="ended before it was ready"):
            supervisor.start(20.0)
        eventually(lambda: len(starts("shaky")) == 3)
        assert alive(starts("shaky")[2])


def test_a_part_that_the_system_has_no_room_for_is_started_later(
    part: MakePart, starts: Starts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = [OSError(errno.EAGAIN, "Resource temporarily unavailable")]

    def start(*args: Any, **settings: Any) -> subprocess.Popen[bytes]:
        if refusals:
            raise refusals.pop()
        return subprocess.Popen(*args, **settings)

    monkeypatch.setattr(module, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": start}))
    with supervised(Supervisor([part("late", READY_AND_LOYAL)])) as supervisor:
        with pytest.raises(Unavailable, match="ended before it was ready"):
            supervisor.start(20.0)
        eventually(lambda: len(starts("late")) == 1)
    assert "late could not be started: [Errno 11] Resource temporarily unavailable" in caplog.messages


def test_a_part_that_refuses_to_leave_is_killed(part: MakePart, starts: Starts) -> None:
    stubborn = part(
        "stubborn",
        f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{READY_AND_LOYAL}\nwhile True: signal.pause()",
    )
    supervisor = Supervisor([stubborn], grace_s=0.05)
    supervisor.start(20.0)
    [pid] = starts("stubborn")
    supervisor.stop()
    assert not alive(pid)


def test_a_part_that_was_asked_to_leave_is_not_started_again(
    part: MakePart, starts: Starts, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor([part("a", READY_AND_LOYAL)])
    supervisor.start(20.0)
    with caplog.at_level(logging.WARNING, "services.local.supervisor"):
        supervisor.stop()
    assert len(starts("a")) == 1
    assert caplog.messages == []


def test_stop_is_harmless_before_start_and_after_stop(part: MakePart, starts: Starts) -> None:
    supervisor = Supervisor([part("a", READY_AND_LOYAL)])
    supervisor.stop()
    assert starts("a") == []
    started = Supervisor([part("b", READY_AND_LOYAL)])
    started.start(20.0)
    started.stop()
    started.stop()
    assert len(starts("b")) == 1
