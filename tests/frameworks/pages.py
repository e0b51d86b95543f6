"""The differences that `docs/frameworks.md` shows, applied to the apps that they are of."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.frameworks.environments import ROOT

PAGE = ROOT / "docs" / "frameworks.md"
APPS = ROOT / "tests" / "fixtures"


def differences(page: str) -> list[str]:
    """Return the differences that a page shows, as they stand there."""
    return re.findall(r"^```diff\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def changed_lines(difference: str) -> int:
    """Return how many lines a difference adds or changes."""
    return len(re.findall(r"^\+(?!\+\+ )", difference, re.MULTILINE))


def changed_app(name: str, difference: str, folder: Path) -> Path:
    """Return a copy of an app with a difference applied."""
    app = folder / name
    shutil.copytree(APPS / name, app)
    subprocess.run(["git", "apply", "--unsafe-paths", f"--directory={app}"], input=difference, text=True, check=True)
    return app
