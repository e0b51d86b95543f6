"""The previous release, taken from the history of this repository, as processes can run it."""

import io
import shutil
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest

RELEASE = "0.1.0"
COMMIT = "8030910900a0db1dded713375f81ad724b5d9693"
"""The last commit of the release: the one before the first change that CHANGELOG.md lists under the next one."""

ROOT = Path(__file__).parents[2]


def unpack(folder: Path) -> dict[str, str]:
    """Write the previous release's code into a folder; return the environment in which Python imports that code."""
    archive = _git("archive", "--format=tar", COMMIT, "flstore_core", "services", "pyproject.toml")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    _write_entry_points(folder)
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _git(*args: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        pytest.fail(f"git is missing; the tests beside release {RELEASE} take its code from the history")
    done = subprocess.run([git, *args], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.fail(
            f"commit {COMMIT}, which is release {RELEASE}, is not in the history of {ROOT}; in a shallow clone, "
            f"`git fetch --unshallow` brings it ({done.stderr.decode().strip()})"
        )
    return done.stdout


def _write_entry_points(folder: Path) -> None:
    """Describe the release as an installed distribution, by whose entry points it finds its workloads.

    Its folder comes first on the path, so it is found instead of the distribution of the same name that is installed.
    """
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    about = folder / f"flstore-{RELEASE}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flstore\nVersion: {RELEASE}\n")
    lines = [f"[{group}]\n" + _lines(entries) for group, entries in project["entry-points"].items()]
    (about / "entry_points.txt").write_text("\n".join(lines))


def _lines(entries: dict[str, str]) -> str:
    return "".join(f"{name} = {target}\n" for name, target in entries.items())
