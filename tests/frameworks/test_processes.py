"""No framework's process outlives what started it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.frameworks.processes import run_to_end
from tests.waiting import alive, eventually

LEAVES_ONE = "sleep 600 & echo $! > child; echo out; echo err >&2; exit 3"


def test_what_a_program_leaves_behind_is_ended(tmp_path: Path) -> None:
    ended = run_to_end(["bash", "-c", LEAVES_ONE], cwd=tmp_path, env=os.environ, longest_s=20.0)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "out\n", "err\n")
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not alive(child))


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    command = ["bash", "-c", "sleep 600 & echo $! > child; wait"]
    with pytest.raises(subprocess.TimeoutExpired):
        run_to_end(command, cwd=tmp_path, env=os.environ, longest_s=1.0)
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not alive(child))
