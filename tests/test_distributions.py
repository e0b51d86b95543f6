"""The two distributions: what each puts on a machine, what it needs, and what our own words say of them."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

import flstore_core

ROOT = Path(__file__).parent.parent
FOLDERS = {"flstore": ROOT, "flstore-server": ROOT / "services"}
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "flstore_core", "services", "loadgen")
MENTION = r"""(?<=['"`/])(flstore(?:-server)?|server)\[([\w,-]+)\]"""
"""As in 'flstore[s3]' or ./services[dev]."""
TEXTS = ("*.py", "*.md", "*.toml", "*.yaml", "*.txt", "Makefile", "Dockerfile", ".ci/run")


def project(name: str) -> dict[str, Any]:
    """Return the `[project]` table of a distribution."""
    table: dict[str, Any] = tomllib.loads((FOLDERS[name] / "pyproject.toml").read_text())["project"]
    return table


def names(requirements: list[str]) -> set[str]:
    """Return the distributions that requirements name, without extras and versions."""
    return {re.split(r"[\[<>=~ ]", requirement)[0] for requirement in requirements}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, zipfile.Path]:
    """Build both wheels from a copy of the sources, with what an earlier build may have left; nothing is downloaded."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        else:
            shutil.copy(path, source)
    (source / "services" / "build" / "earlier").mkdir(parents=True)
    (source / "services" / "build" / "earlier" / "left.py").touch()
    options = "--quiet --disable-pip-version-check --no-index --no-build-isolation --no-deps --wheel-dir"
    command = [sys.executable, "-m", "pip", "wheel", *options.split(), str(target), ".", "./services"]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return {path.name.split("-")[0].replace("_", "-"): zipfile.Path(path) for path in target.iterdir()}


def entry_points(wheel: zipfile.Path) -> ConfigParser:
    parser = ConfigParser()
    [info] = [each for each in wheel.iterdir() if each.name.endswith(".dist-info")]
    parser.read_string((info / "entry_points.txt").read_text())
    return parser


@pytest.mark.parametrize(
    ("name", "packages"), [("flstore", {"flstore_core"}), ("flstore-server", {"services", "loadgen"})]
)
def test_a_distribution_installs_its_own_packages_and_nothing_else(
    wheels: dict[str, zipfile.Path], name: str, packages: set[str]
) -> None:
    top = {path.name for path in wheels[name].iterdir() if not path.name.endswith(".dist-info")}
    assert top == packages


def test_every_module_of_the_repository_is_in_a_wheel(wheels: dict[str, zipfile.Path]) -> None:
    built = {name for wheel in wheels.values() for name in wheel.root.namelist() if name.endswith(".py")}
    sources = {
        str(path.relative_to(ROOT))
        for package in ("flstore_core", "services", "loadgen")
        for path in (ROOT / package).rglob("*.py")
    }
    assert built == sources
    assert {"flstore_core/py.typed"} <= set(wheels["flstore"].root.namelist())


def test_the_library_registers_workloads_and_the_server_distribution_commands(wheels: dict[str, zipfile.Path]) -> None:
    library, server = entry_points(wheels["flstore"]), entry_points(wheels["flstore-server"])
    assert set(library.sections()) == {"console_scripts", "flstore.workloads"}
    assert set(server.sections()) == {"flstore.commands"}
    assert set(server["flstore.commands"]) == {"up", "demo", "demo-models"}
    assert len(library["flstore.workloads"]) == 26
    files = {name for wheel in wheels.values() for name in wheel.root.namelist()}
    targets = [
        target for points in (library, server) for group in points.sections() for target in points[group].values()
    ]
    for module in {target.partition(":")[0].replace(".", "/") for target in targets}:
        assert files & {f"{module}.py", f"{module}/__init__.py"}, module


def test_the_server_distribution_stands_on_the_library_of_its_own_version() -> None:
    assert f"flstore[s3]=={flstore_core.__version__}" in project("flstore-server")["dependencies"]


def test_the_library_needs_no_web_server_no_object_store_and_no_torch() -> None:
    assert names(project("flstore")["dependencies"]) == {
        "annotated-types", "click", "httpx", "numpy", "pydantic", "rich", "urllib3"
    }  # fmt: skip


def test_what_the_library_imports_is_what_it_declares() -> None:
    extras = project("flstore")["optional-dependencies"].values()
    declared = names(project("flstore")["dependencies"]) | {name for extra in extras for name in names(extra)}
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "flstore_core").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in imports(node)
    }
    distributions = packages_distributions()
    outside = imported - sys.stdlib_module_names - {"flstore_core", "_typeshed"}  # type checkers alone have the latter
    assert {distributions[name][0].lower() for name in outside} == declared


def imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def mentions() -> list[tuple[str, str, str]]:
    """Return file, distribution and extra of each `distribution[extra,…]` in the repository's texts."""
    listing = subprocess.run(["git", "ls-files", *TEXTS], cwd=ROOT, check=True, capture_output=True, text=True)
    return [
        (file, name, extra)
        for file in listing.stdout.split()
        if (ROOT / file).exists()
        for name, extras in re.findall(MENTION, read(ROOT / file))
        for extra in extras.split(",")
    ]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_every_extra_that_a_message_or_a_page_names_exists() -> None:
    named = mentions()
    assert len(named) > 5
    for file, name, extra in named:
        declared = project("flstore" if name == "flstore" else "flstore-server")["optional-dependencies"]
        assert extra in declared, f"{file} names {name}[{extra}]; there are {', '.join(declared)}"
