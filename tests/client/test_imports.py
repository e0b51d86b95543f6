"""What importing the client imports: NumPy, with the first client one HTTP library, and nothing that takes as long."""

import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

import flstore_core.client

SLOW = {"asyncio", "concurrent", "difflib", "multiprocessing", "unittest", "xml"}
"""Modules of Python whose import is noticed."""


def modules_after(program: str) -> set[str]:
    """Return the top-level names of what a fresh process has imported after a program."""
    program = f"import sys; before = set(sys.modules); {program}; print(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in ran.stdout.split()}


def test_importing_the_client_imports_numpy_and_making_one_an_http_library() -> None:
    imported = modules_after("import flstore_core.client")
    assert imported & set(packages_distributions()) - {"flstore_core"} == {"numpy"}
    made = modules_after("from flstore_core.client import FLStore; FLStore('http://127.0.0.1:1')")
    assert made & set(packages_distributions()) - {"flstore_core"} == {"numpy", "urllib3"} | optional_parts()
    assert not (imported | made) & SLOW


def optional_parts() -> set[str]:
    """Return what these two import of other distributions where they are installed, such as brotli."""
    return modules_after("import numpy, urllib3") & set(packages_distributions())


@pytest.mark.parametrize(
    "module", ["flstore_core.integrations.recorder", "flstore_core.tables", "flstore_core.client.sync_client"]
)
def test_a_training_that_is_recorded_imports_no_more(module: str) -> None:
    assert not modules_after(f"import {module}") & ({"httpx", "pydantic", "rich", "click"} | SLOW)


def test_a_storage_initializer_imports_no_pytorch() -> None:
    assert not modules_after("import flstore_core.cli.fetch_model") & {"torch", "fastapi", "httpx"}


def test_the_asyncio_client_is_there_when_it_is_asked_for() -> None:
    assert "httpx" in modules_after("from flstore_core.client import AsyncFLStore")
    assert set(flstore_core.client.__all__) <= set(vars(flstore_core.client)) | {"AsyncFLStore"}
    with pytest.raises(AttributeError, match="has no attribute 'AsyncStore'"):
        flstore_core.client.AsyncStore  # type: ignore[attr-defined]  # noqa: B018
