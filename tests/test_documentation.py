"""The reference pages list what there really is."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import flstore_core
from flstore_core.environment import SETTINGS
from flstore_core.errors import FLStoreError

DOCS = Path(__file__).parent.parent / "docs"
HEAVY = (
    "flstore_core.models",
    "flstore_core.integrations.flower",
    "flstore_core.integrations.nvflare",
    "loadgen.demo",
    "flstore_core.cli",
)
"""Packages that need extras; what they raise is declared elsewhere."""


def error_tree(root: type[FLStoreError]) -> Iterator[type[FLStoreError]]:
    yield root
    for child in root.__subclasses__():
        yield from error_tree(child)


def test_every_error_code_is_documented_with_its_status_and_retry() -> None:
    for module in pkgutil.walk_packages(flstore_core.__path__, "flstore_core."):
        if not module.name.startswith(HEAVY):
            importlib.import_module(module.name)
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| (yes|no) \|", (DOCS / "errors.md").read_text(), re.MULTILINE)
    documented = {code: (int(status), retry == "yes") for code, status, retry in rows}
    errors = [error for error in error_tree(FLStoreError) if error.__module__.startswith("flstore_core")]
    assert documented == {error.code: (error.status, error.retryable) for error in errors}


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    root = DOCS.parent
    sources = [path for folder in ("flstore_core", "services") for path in (root / folder).rglob("*.py")]
    read = {name for path in sources for name in re.findall(r"[\"']?(FLSTORE_[A-Z0-9_]*[A-Z0-9])\b", path.read_text())}
    documented = set(re.findall(r"^\| `(FLSTORE_[A-Z0-9_]+)` \|", (DOCS / "settings.md").read_text(), re.MULTILINE))
    assert documented == read
    assert documented == SETTINGS
