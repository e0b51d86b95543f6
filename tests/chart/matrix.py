"""The values files that the chart is rendered with, and what comes of them."""

from collections.abc import Iterator
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


def findings(path: Path) -> Iterator[str]:
    """Lint, render and validate; yield what is wrong."""
    chosen = values(path)
    yield from chart.lint(chosen)
    for item in chart.render(chosen):
        yield from problems(item)
