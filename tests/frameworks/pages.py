"""The differences that `docs/frameworks.md` shows, applied to the apps that they are of."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.frameworks.environments import ROOT

PAGE = ROOT / "docs" / "frameworks.md"
APPS = ROOT / "tests" / "fixtures"
SHOWN = "http://127.0.0.1:8080"
"""The address in the page; those that run stand on free ports."""


def difference(framework: str) -> str:
    """Return the difference that the page shows in a framework's section."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = (each for each in sections if each.startswith(f"{framework}\n"))
    (shown,) = re.findall(r"^```diff\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return str(shown)


def changed_lines(difference: str) -> int:
    """Return how many lines a difference adds or changes."""
    return len(re.findall(r"^\+(?!\+\+ )", difference, re.MULTILINE))


def changed_app(name: str, difference: str, url: str, folder: Path) -> Path:
    """Return a copy of an app in a folder, with a difference applied that has `url` for the page's address."""
    app = folder / name
    shutil.copytree(APPS / name, app)
    applied = difference.replace(SHOWN, url)
    subprocess.run(["git", "apply", "--unsafe-paths", f"--directory={app}"], input=applied, text=True, check=True)
    return app
