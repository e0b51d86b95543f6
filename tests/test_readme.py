"""What the README shows works as it stands there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flstore_core.codec import dumps
from services.local.running import running

README = Path(__file__).parent.parent / "README.md"
SHOWN_URLS = ("http://127.0.0.1:8080", "localhost:8080", "127.0.0.1:8080")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def commands(block: str) -> list[str]:
    """Return a console block's commands, continuation lines joined, comments cut."""
    lines = block.replace("\\\n", " ").splitlines()
    return [re.sub(r"\s{2,}#.*", "", line[2:]) for line in lines if line.startswith("$ ")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("readme")
    with running(str(folder / "store"), log=folder / "log") as addresses:
        yield addresses.gateway


def pointed_at(text: str, url: str) -> str:
    for shown in SHOWN_URLS:
        text = text.replace(shown, url)
    return text


def run(command: str, url: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "FLSTORE_URL": url}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_curl_stores_a_round_and_asks_about_it(url: str, tmp_path: Path) -> None:
    (tmp_path / "client-7.safetensors").write_bytes(dumps({"w": np.ones((10, 64), np.float32)}))
    (shown,) = [block for block in blocks("console") if "curl" in block]
    answers = [
        run(pointed_at(command, url).replace("curl", "curl -sS --fail-with-body"), url, tmp_path)
        for command in commands(shown)
    ]
    assert json.loads(answers[1])["created"] is True
    assert "0.61" in answers[-1]


def test_the_python_example_runs_and_the_commands_work_on_what_it_stored(url: str, tmp_path: Path) -> None:
    (example,) = blocks("python")
    printed = run(f"{sys.executable} - <<'EOF'\n{pointed_at(example, url)}\nEOF", url, tmp_path)
    assert "client-9" in printed
    shell = re.search(r"From the shell: (.*?);\n", README.read_text(), re.DOTALL)
    assert shell is not None
    for command in re.findall(r"`(flstore [^`]+)`", shell.group(1)):
        assert "digits" in run(f"{command} --json", url, tmp_path) or "workloads" in command or "status" in command


def test_the_first_screen_names_commands_that_make_has() -> None:
    makefile = README.with_name("Makefile").read_text()
    named = {
        command.split()[1] for block in blocks("console") for command in commands(block) if command.startswith("make ")
    }
    assert {"demo", "test"} <= named
    assert all(re.search(rf"^{verb}:", makefile, re.MULTILINE) for verb in named)
