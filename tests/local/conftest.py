"""Parts to supervise: small modules that a test writes, in place of a service."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.local.supervisor import Part

READY_AND_LOYAL = """
import os
lifeline = int(os.environ["FLSTORE_LIFELINE_FD"])
os.write(lifeline, b"0\\n")
os.read(lifeline, 1)
"""
"""Says that it is ready, and leaves when its lifeline ends."""

MakePart = Callable[[str, str], Part]


@pytest.fixture
def part(tmp_path: Path) -> Iterator[MakePart]:
    """Return a function that makes a part of a name and a module's text; `diary` below counts its starts."""
    with ExitStack() as stack:

        def make(name: str, text: str) -> Part:
            (tmp_path / f"{name}_module.py").write_text(_COUNTING + text)
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            return Part(name, f"{name}_module", listening, {**os.environ, "PYTHONPATH": str(tmp_path), "NAME": name})

        yield make


_COUNTING = """
import os, pathlib, sys
diary = pathlib.Path(__file__).with_name(os.environ["NAME"] + ".starts")
with diary.open("a") as file:
    file.write(f"{os.getpid()}\\n")
starts = len(diary.read_text().split())
"""


@pytest.fixture
def starts(tmp_path: Path) -> Callable[[str], list[int]]:
    """Return a function that gives the process ids of a part's starts so far, in order."""

    def read(name: str) -> list[int]:
        diary = tmp_path / f"{name}.starts"
        return [int(line) for line in diary.read_text().split()] if diary.exists() else []

    return read
