"""Environments of their own for frameworks, with FLStore's client beside them."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def environment(name: str) -> Path:
    """Return the folder of an environment's programs; build it, unless it is built of the same list.

    The variable `FLOWER_ENV` (or another name instead of `FLOWER`) names one that is there already.
    """
    if named := os.environ.get(f"{name.upper().replace('-', '_')}_ENV"):
        return Path(named, "bin")
    requirements, folder = HERE / f"{name}.txt", work_folder() / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be building it
        built = folder / "built.txt"
        if not built.exists() or built.read_text() != requirements.read_text():
            _build(folder, requirements)
            built.write_text(requirements.read_text())
    return folder / "bin"


def work_folder() -> Path:
    """Return a folder on the disk of the sources; that of temporary files is often in memory."""
    folder = ROOT / "build" / "frameworks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _build(folder: Path, requirements: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", str(requirements), "--editable", str(ROOT)], check=True)
