"""The chart through Helm's engine: `helm` when it is on the PATH, else the same engine as a library."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parent.parent / "charts" / "flstore"
NAMESPACE = "flstore"
RELEASE = "flstore"
_NOTES = "NOTES.txt"

Values = Mapping[str, Any]
Manifest = dict[str, Any]


class ChartError(Exception):
    """Helm refused the values or a template; the text is what a user would read."""


def lint(values: Values) -> list[str]:
    """Return Helm's complaints, warnings included."""
    report = helm_python.lint(CHART, dict(values), strict=True, namespace=NAMESPACE)
    messages = [f"{entry['path']}: {entry['error']}" for entry in report["messages"] if entry["severity"] > 1]
    return messages + [str(error) for error in report["errors"]]


def render(values: Values, *, upgrade: bool = False) -> list[Manifest]:
    """Return every object of the chart, hooks included, in a fixed order; raise `ChartError`."""
    binary = shutil.which("helm")
    text = _by_binary(binary, values, upgrade) if binary else _by_library(values, upgrade)
    objects = [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]
    return sorted(objects, key=lambda each: (each["kind"], each["metadata"]["name"]))


def notes(values: Values) -> str:
    """Return what Helm prints after an installation."""
    return next(text for path, text in _templates(values, upgrade=False).items() if path.endswith(_NOTES))


def _by_library(values: Values, upgrade: bool) -> str:
    templates = _templates(values, upgrade)
    return "\n---\n".join(text for path, text in templates.items() if path.endswith(".yaml"))


def _templates(values: Values, upgrade: bool) -> dict[str, str]:
    try:
        with helm_python.Chart.load(CHART) as chart:
            chart.validate_schema(dict(values))
            return chart.render(dict(values), name=RELEASE, namespace=NAMESPACE, is_upgrade=upgrade)
    except helm_python.HelmError as error:
        raise ChartError(str(error)) from error


def _by_binary(binary: str, values: Values, upgrade: bool) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(dict(values), file)
        file.flush()
        command = [binary, "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", file.name]
        done = subprocess.run(  # noqa: S603 - the binary is the one on the PATH, the rest is ours
            [*command, *(["--is-upgrade"] if upgrade else [])], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise ChartError(done.stderr)
    return done.stdout
