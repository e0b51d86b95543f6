"""Run small programs, each of which exits 1 while its fault is there, against a fresh FLStore: `make cases`.

They lie in a folder beside this repository. Where there is none, there is nothing to run.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from services.local.running import running

CASES = Path(__file__).parents[2] / "shared" / "cases"
LONGEST_S = 180.0
"""Seconds after which a case counts as failed."""


def main(cases: Path = CASES) -> int:
    """Run all cases, print a line for each, and return how many failed."""
    scripts = sorted(path for path in cases.glob("[0-9]*") if path.suffix in (".py", ".sh"))
    if not scripts:
        click.echo(f"no cases in {cases}")
        return 0
    with TemporaryDirectory() as folder, running(f"{folder}/store", log=Path(folder, "log")) as addresses:
        env = {
            **os.environ,
            "FLSTORE_URL": addresses[0],
            "FLSTORE_BIN": str(Path(sys.executable).with_name("flstore")),
            "FLSTORE_DISK": f"{folder}/store",
        }
        return sum(not passes(script, env) for script in scripts)


def passes(script: Path, env: dict[str, str]) -> bool:
    """Run one case, print its name and last line, and return whether it exits 0."""
    command = [sys.executable, str(script)] if script.suffix == ".py" else ["sh", str(script)]
    try:
        ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        click.echo(f"FAILED {script.name}: not done after {LONGEST_S:g} s")
        return False
    said = (ended.stdout.strip() or ended.stderr.strip() or "-").splitlines()[-1]
    click.echo(f"{'FAILED' if ended.returncode else 'ok    '} {script.name}: {said[:160]}")
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(bool(main()))
