"""The images: well-formed, fixed by hashes, and what their install steps install starts and leaves as PID 1 would."""

import json
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import free_ports, wait_until

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
STAGES = ("tools", "source", "wheels", "installed")
"""Of the image `flstore`, up to what it copies."""
SERVICES = {
    "flstore": "gateway",
    "flstore-console": "console",
    "flstore-torch": "predictor",
    "flstore-torch-cuda": "predictor",
}
"""Target → the service that its image starts."""


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(hadolint), str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_images_get_the_sources_and_nothing_that_was_built_of_them() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    text = DOCKERFILE.read_text()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == {*" ".join(copied).split()}
    assert lines.index("*") < lines.index("!services") < lines.index("services/build")
    assert {"**/*.egg-info", "**/__pycache__"} <= set(lines)


def test_images_run_without_root_and_without_a_shell() -> None:
    stages = _stages()
    for target, service in SERVICES.items():
        lines = stages["base"] + stages[target]
        assert "USER 65532:65532" in lines
        [command] = [json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD ")]
        assert command == ["python", "-m", f"services.{service}"]
        assert not any(line.startswith(("ENTRYPOINT", "ADD")) for line in lines)
        assert [line for line in lines if line.startswith("RUN")] == [_compiling()]
    assert all("--only-binary :all:" in line for each in stages.values() for line in each if "pip wheel" in line)


def test_nothing_is_downloaded_that_has_no_hash() -> None:
    text = DOCKERFILE.read_text().replace("\\\n", "")
    [python] = re.findall(r"^ARG PYTHON=(.*)$", text, re.MULTILINE)
    assert re.fullmatch(r"[\w.-]+@sha256:[0-9a-f]{64}", python)
    stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= {"python:${PYTHON}", *stages}
    pips = re.findall(r"python -m pip [^&\n]*", text)
    assert len(pips) == 12
    assert all("--no-index" in command or "--require-hashes" in command for command in pips)


def test_the_standard_library_is_compiled_before_the_file_system_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "asyncio").mkdir()
    (tmp_path / "asyncio" / "events.py").write_text("loop = None\n")
    words = re.sub(r'"\$\(.*\)"', str(tmp_path), _compiling().removeprefix("RUN "))
    words = words.replace("python -m", f"{sys.executable} -m")
    subprocess.run(words, shell=True, check=True)
    [compiled] = tmp_path.glob("asyncio/__pycache__/events.*.pyc")
    assert _names_no_time(compiled)


def _compiling() -> str:
    [line] = [line for line in _stages()["base"] if line.startswith("RUN")]
    return line


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run the image's own steps in folders of this machine; yield the environment they make."""
    root = tmp_path_factory.mktemp("image")
    moved = {folder: root / Path(folder).name for folder in ("/source", "/tools", "/ours", "/wheels", "/opt/flstore")}
    moved["/source"].mkdir()
    for line in [line for stage in STAGES for line in _stages()[stage]]:
        instruction, _, rest = line.partition(" ")
        if instruction == "COPY" and not rest.startswith("--from"):  # what another stage made lies here already
            *sources, _ = rest.split()
            for source in sources:
                _copy(ROOT / source, moved["/source"] / source)
        if instruction == "RUN":
            words = re.sub(r"(?<=\s)(/tools|/ours|/wheels|/opt/flstore)\b", lambda found: str(moved[found[0]]), rest)
            words = words.replace("python -m", f"{sys.executable} -m")
            done = subprocess.run(words, shell=True, cwd=moved["/source"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    yield moved["/opt/flstore"]
    shutil.rmtree(root)


@pytest.mark.timeout(400)  # downloads and unpacks some sixty wheels
def test_the_install_steps_give_a_small_image_that_serves(installed: Path, tmp_path: Path) -> None:
    python = installed / "bin" / "python"
    modules = "services.gateway.app, services.placement.app, services.shard.app, kubernetes, flstore_core.client"
    subprocess.run([python, "-c", f"import {modules}"], cwd=tmp_path, check=True)
    for absent in ("torch", "pytest", "pip", "sklearn"):
        assert subprocess.run([python, "-c", f"import {absent}"], cwd=tmp_path, stderr=subprocess.DEVNULL).returncode
    assert sum(path.stat().st_size for path in installed.rglob("*") if path.is_file()) < 300 << 20
    [port] = free_ports(1)
    env = {"FLSTORE_PORT": str(port), "FLSTORE_STORE": str(tmp_path / "store"), "PYTHONDONTWRITEBYTECODE": "1"}
    env["FLSTORE_SERVICE_KEYS"] = "none"
    process = subprocess.Popen([python, "-m", "services.shard"], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), "the shard answering", 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


def test_no_file_of_an_image_says_when_it_was_built(installed: Path) -> None:
    compiled = list(installed.rglob("*.pyc"))
    assert len(compiled) > 1000
    assert [path for path in compiled if not _names_no_time(path)] == []
    for wheel in (installed.parent / "ours").iterdir():
        assert {entry.date_time for entry in zipfile.ZipFile(wheel).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def _names_no_time(compiled: Path) -> bool:
    """Return whether bytecode belongs to a source by its hash, which is not compared again (PEP 552)."""
    return compiled.read_bytes()[4:8] == bytes([0b01, 0, 0, 0])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _stages() -> dict[str, list[str]]:
    """Return stage → its instructions, in order."""
    stages: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in DOCKERFILE.read_text().splitlines():
        if found := re.fullmatch(r"FROM \S+ AS (\S+)", line):
            lines = stages.setdefault(found[1], [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return stages
