"""Environments of their own for frameworks, with FLStore's client beside them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(framework: str) -> Path:
    """Return the folder of a framework's programs; build the environment, unless it is built of the same list.

    The variable `FLOWER_ENV` (or the framework's name instead of `FLOWER`) names one that is there already.
    """
    if named := os.environ.get(f"{framework.upper()}_ENV"):
        return Path(named, "bin")
    wanted = Path(__file__).with_name(f"{framework}.txt").read_text()
    folder = ROOT / "build" / "frameworks" / framework
    built = folder / "built.txt"
    if not built.exists() or built.read_text() != wanted:
        _build(folder, Path(__file__).with_name(f"{framework}.txt"))
        built.write_text(wanted)
    return folder / "bin"


def _build(folder: Path, requirements: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", str(requirements), "--editable", str(ROOT)], check=True)
