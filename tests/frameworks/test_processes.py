"""No framework's process outlives what started it."""

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.frameworks.processes import end_all, marked, run_to_end
from tests.frameworks.steps import Steps
from tests.waiting import alive, eventually

LEAVES_ONE = "sleep 600 & echo $! > child; echo out; echo err >&2; exit 3"
LEAVES_A_SESSION = "setsid sh -c 'echo $$ > child; exec sleep 600' & until [ -s child ]; do sleep 0.01; done; exit 3"


@pytest.mark.parametrize("script", [LEAVES_ONE, LEAVES_A_SESSION])
def test_what_a_program_leaves_behind_is_ended(script: str, tmp_path: Path) -> None:
    ended = run_to_end(["bash", "-c", script], cwd=tmp_path, env=os.environ, longest_s=20.0)
    assert ended.returncode == 3
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not alive(child))


def test_what_a_program_said_is_told(tmp_path: Path) -> None:
    ended = run_to_end(["bash", "-c", LEAVES_ONE], cwd=tmp_path, env=os.environ, longest_s=20.0)
    assert (ended.stdout, ended.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("start", ["sleep 600 &", "setsid sleep 600 &"])
def test_a_program_that_takes_too_long_is_ended_with_its_children(start: str, tmp_path: Path) -> None:
    command = ["bash", "-c", f"{start} echo $! > child; echo here; wait"]
    with pytest.raises(subprocess.TimeoutExpired) as late:
        run_to_end(command, cwd=tmp_path, env=os.environ, longest_s=1.0)
    assert late.value.output == "here\n"
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not alive(child))


def test_other_programs_go_on() -> None:
    env = marked(os.environ)
    with (
        subprocess.Popen(["sleep", "600"], env=marked(os.environ)) as other,
        subprocess.Popen(["sleep", "600"], env=env),
    ):
        end_all(env)
        assert alive(other.pid)
        other.kill()


def test_a_study_that_is_stopped_ends_its_programs_and_begins_no_further_part() -> None:
    steps, begun = Steps(Console(file=StringIO())), threading.Event()

    def work() -> str:
        env = marked(os.environ)
        with subprocess.Popen(["sleep", "600"], env=env) as process:
            begun.set()
        end_all(env)
        return str(process.returncode)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(steps.take, "first", work)
        second = pool.submit(steps.take, "second", work)
        assert begun.wait(20.0)
        steps.stop()
        assert first.result() == "-9"
        assert second.result() is None
