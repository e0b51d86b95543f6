"""The values files that the chart is rendered with, and what comes of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from manifests import chart
from tests.chart.validate import problems

ROOT = Path(__file__).parents[2]
VALUES = Path(__file__).parent / "values"
SHIPPED = (ROOT / "manifests" / "kind" / "values.yaml",)
"""Values files that users are given."""


def files() -> list[Path]:
    return [*sorted(VALUES.glob("*.yaml")), *SHIPPED]


def values(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {}


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one values file."""

    path: Path
    objects: int
    problems: list[str]


def check(path: Path) -> Checked:
    """Lint, render and validate."""
    chosen = values(path)
    rendered = chart.render(chosen)
    wrong = [each for item in rendered for each in problems(item)]
    return Checked(path, len(rendered), [*chart.lint(chosen), *wrong])
