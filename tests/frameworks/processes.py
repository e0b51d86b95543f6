"""Programs that start others, and must leave none of them behind.

What a program starts may be in a session of its own, as a simulator's sites are, or have another parent by now. It does
inherit the environment, so that a mark in it is how all of it is known.
"""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

MARK = "FLSTORE_STUDY_PROGRAM"
"""The variable that has the mark."""
_marks: set[str] = set()
"""Of the programs that run."""


def run_to_end(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], longest_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a program; when it has ended, or did not in time, end all that it started.

    Raises:
        TimeoutExpired: if it takes longer than `longest_s` seconds; it has what was written until then.
    """
    env = marked(env)
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:  # a pipe ends only with the last child
        with subprocess.Popen(
            command, cwd=cwd, env=env, stdout=output, stderr=errors, start_new_session=True
        ) as process:
            try:
                process.wait(longest_s)
            except subprocess.TimeoutExpired as late:
                raise subprocess.TimeoutExpired(command, longest_s, _whole(output), _whole(errors)) from late
            finally:
                end_all(env)
        return subprocess.CompletedProcess(command, process.returncode, _whole(output), _whole(errors))


def marked(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a program, by which `end_all` knows all that it starts."""
    mark = secrets.token_hex(16)
    _marks.add(mark)
    return {**env, MARK: mark}


def end_all(env: Mapping[str, str]) -> None:
    """End a program with this environment, and all that it started."""
    _end(env[MARK])
    _marks.discard(env[MARK])


def end_every_program() -> None:
    """End all programs with marked environments, in whatever thread they are waited for."""
    for mark in list(_marks):
        _end(mark)


def _end(mark: str) -> None:
    while pids := list(_running_with(f"{MARK}={mark}".encode())):  # one may be started meanwhile
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _running_with(variable: bytes) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if variable in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name)


def _whole(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
