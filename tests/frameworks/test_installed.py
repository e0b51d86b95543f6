"""`make frameworks` installs less than the tests do, which saves minutes of its time."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.frameworks.environments import ROOT

IMPORT = (
    "import sys; sys.modules.update(dict.fromkeys(sys.argv[1:])); import matplotlib.pyplot, tests.frameworks.__main__"
)
"""A module that is None there cannot be imported."""


def needed(requirement: Requirement, seen: set[str]) -> Iterator[str]:
    """Yield the names of what a requirement installs."""
    name = canonicalize_name(requirement.name)
    yield name
    for extra in ("", *requirement.extras):
        if f"{name}[{extra}]" in seen:
            continue
        seen.add(f"{name}[{extra}]")
        for each in map(Requirement, requires(name) or ()):
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                yield from needed(each, seen)


def test_the_study_imports_only_what_is_installed_for_it() -> None:
    (extras,) = re.findall(r"^frameworks: \$\(VENV\)/\.(\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    installed = set(needed(Requirement(f"flstore-server[{extras}]"), set()))
    assert {"scikit-learn", "matplotlib"} <= installed
    others = [
        name for name, homes in packages_distributions().items() if installed.isdisjoint(map(canonicalize_name, homes))
    ]
    assert {"pytest", "torch", "mlflow"} <= set(others)
    ran = subprocess.run([sys.executable, "-c", IMPORT, *others], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
