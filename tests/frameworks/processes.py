"""Programs that start others, and must leave none of them behind."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO


def run_to_end(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], longest_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a program; when it has ended, or did not in time, end all that it started.

    Raises:
        TimeoutExpired: if it takes longer than `longest_s` seconds; it has what was written until then.
    """
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:  # a pipe ends only with the last child
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdout=output, stderr=errors, start_new_session=True
        )
        try:
            process.wait(longest_s)
        except subprocess.TimeoutExpired as late:
            raise subprocess.TimeoutExpired(command, longest_s, _whole(output), _whole(errors)) from late
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return subprocess.CompletedProcess(command, process.returncode, _whole(output), _whole(errors))


def _whole(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
