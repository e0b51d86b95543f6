"""The registry, with packages that are really on the path."""

import logging
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from pkgutil import iter_modules

import grimp
import pytest

from flstore_core import workloads
from flstore_core.errors import BrokenWorkload, InvalidParameters, NotFound
from flstore_core.workloads import Needs, registry

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"

GOOD = '''
"""A user's own workload."""
from dataclasses import dataclass
from flstore_core.patterns import Pattern
from flstore_core.workloads import Needs, Result, RoundParams, one_round


@dataclass(frozen=True)
class Count(Result):
    clients: int


class HowMany:
    """How many clients a round has."""

    name = "how-many"
    pattern = Pattern.P2
    needs = Needs.METADATA
    source = "none"
    params = RoundParams
    result = Count

    def select(self, params, index):
        return one_round(params, index)

    def combine(self, partials, context, params):
        return Count(len(context.round.record.members))


class Nameless(HowMany):
    name = "another"


class Halved:
    name = "halved"


class Mapless(HowMany):
    name = "mapless"
    needs = Needs.WEIGHTS


class Runless(HowMany):
    name = "runless"
    needs = Needs.MODEL


class Loose(HowMany):
    name = "loose"
    params = dict


class Shapeless(HowMany):
    name = "shapeless"
    result = dict
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a package with good and bad entry points on the path."""
    (tmp_path / "their_workloads.py").write_text(GOOD)
    (tmp_path / "their_broken_module.py").write_text("raise RuntimeError('no licence')")
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[flstore.workloads]\n"
        "how-many = their_workloads:HowMany\n"
        "misnamed = their_workloads:Nameless\n"
        "halved = their_workloads:Halved\n"
        "unlicensed = their_broken_module:Anything\n"
        "missing = their_workloads:Gone\n"
        "mapless = their_workloads:Mapless\n"
        "runless = their_workloads:Runless\n"
        "loose = their_workloads:Loose\n"
        "shapeless = their_workloads:Shapeless\n"
        "aggregate = their_workloads:HowMany\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.forget()
    yield
    sys.modules.pop("their_workloads", None)
    registry.forget()


@pytest.mark.usefixtures("package")
def test_a_users_package_adds_a_workload() -> None:
    assert "how-many" in registry.names()
    assert registry.get("how-many").source == "none"
    assert registry.get("how-many") is registry.get("how-many")


@pytest.mark.usefixtures("package")
def test_a_broken_package_is_reported_by_name_and_takes_no_other_down(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        loaded = registry.load()
    assert {"how-many", "cosine-similarity", "aggregate"} <= loaded.keys()
    assert registry.broken().keys() == set(BROKEN)
    assert "'unlicensed' is left out" in caplog.text
    with pytest.raises(BrokenWorkload, match="no licence"):
        registry.get("unlicensed")


BROKEN = {
    "unlicensed": "(their_broken_module:Anything) cannot be loaded: RuntimeError: no licence",
    "missing": "(their_workloads:Gone) cannot be loaded: AttributeError",
    "misnamed": "is not a workload: it calls itself 'another'; name and entry point must agree",
    "halved": "is not a workload: it lacks pattern, needs, source, params, result, select, combine",
    "mapless": "is not a workload: it lacks reads_base, members, map",
    "runless": "is not a workload: it lacks models, datasets, run",
    "loose": "is not a workload: params must be a dataclass derived from flstore_core.workloads.Params",
    "shapeless": "is not a workload: result must be a dataclass",
}


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("name", "reason"), BROKEN.items(), ids=str)
def test_each_mistake_is_named_with_what_would_be_right(name: str, reason: str) -> None:
    assert reason in registry.broken()[name]
    with pytest.raises(BrokenWorkload) as caught:
        registry.get(name)
    assert reason in caught.value.detail


def test_a_workload_is_got_only_for_the_place_where_it_runs() -> None:
    assert registry.get_weights("norms").reads_base is False
    assert registry.get_model("inference").needs is Needs.MODEL
    with pytest.raises(InvalidParameters, match="'inference' needs model, not weights: it has nothing to map"):
        registry.get_weights("inference")
    with pytest.raises(InvalidParameters, match="'norms' needs weights, not a model: it has nothing to run"):
        registry.get_model("norms")


@pytest.mark.usefixtures("package")
def test_a_users_package_cannot_take_a_built_in_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert type(registry.get("aggregate")).__module__ == "flstore_core.workloads.aggregate"
    assert "'aggregate' of their_workloads:HowMany is ignored" in caplog.text


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(NotFound, match="cosine-similarity") as caught:
        registry.get("cosine-similarities")
    assert caught.value.extensions["nearest"][0] == "cosine-similarity"


FRAMEWORK = {"base", "describe", "model_access", "params", "registry", "results", "select", "views"}


def test_every_file_of_a_workload_is_registered_and_the_installed_entries_are_those_of_pyproject() -> None:
    """A file without an entry is never found; an entry made since the last `make setup` is not installed."""
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]["flstore.workloads"]
    files = {module.name for module in iter_modules(workloads.__path__) if not module.ispkg} - FRAMEWORK
    assert {target.partition(":")[0].rpartition(".")[2] for target in declared.values()} == files
    assert sorted(declared) == registry.names()


def test_no_workload_imports_another() -> None:
    """What two of them need is in `methods` or `shared`; `provenance` asks the registry for the one it runs again."""
    graph = grimp.build_graph("flstore_core", include_external_packages=False)
    modules = {type(workload).__module__ for workload in registry.load().values()}
    for module in sorted(modules):
        others = modules - {module}
        assert not others & graph.find_upstream_modules(module), module


def test_built_in_workloads_import_the_contract_from_the_page_that_users_import_it_from() -> None:
    graph = grimp.build_graph("flstore_core", include_external_packages=False)
    behind = {f"flstore_core.workloads.{name}" for name in FRAMEWORK - {"registry"}}
    for module in sorted({type(workload).__module__ for workload in registry.load().values()}):
        assert not behind & graph.find_modules_directly_imported_by(module), module


def test_of_two_packages_with_one_name_the_first_by_its_place_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for package in ("zebra", "antelope"):
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[flstore.workloads]\nshared-name = {package}_workloads:HowMany\n")
        (tmp_path / f"{package}_workloads.py").write_text(GOOD.replace('"how-many"', '"shared-name"'))
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.forget()
    try:
        with caplog.at_level(logging.WARNING):
            assert type(registry.get("shared-name")).__module__ == "antelope_workloads"
        assert "'shared-name' of zebra_workloads:HowMany is ignored: antelope_workloads:HowMany" in caplog.text
    finally:
        sys.modules.pop("antelope_workloads", None)
        registry.forget()


def test_every_built_in_workload_loads_under_its_own_name() -> None:
    built_in = registry.load()
    assert not registry.broken()
    assert [workload.name for workload in built_in.values()] == list(built_in)


def test_a_shard_imports_the_one_workload_it_runs_and_no_validation_library() -> None:
    script = (
        "import sys; from flstore_core.workloads import registry; registry.get('aggregate');"
        "print(*sorted(m for m in sys.modules if m.startswith('flstore_core.workloads.') or m.startswith('pydantic')))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "flstore_core.workloads.aggregate" in shown
    others = {f"flstore_core.workloads.{name.replace('-', '_')}" for name in registry.names()} - {
        "flstore_core.workloads.aggregate"
    }
    assert not others & set(shown)
    assert not [name for name in shown if name.startswith("pydantic")]


def test_parameters_from_json_refuse_fields_that_are_not_there() -> None:
    workload = registry.get("cosine-similarity")
    assert registry.params_from_json(workload, {"round": 3}).round == 3
    with pytest.raises(InvalidParameters, match=r"cosine-similarity.*roundd"):
        registry.params_from_json(workload, {"roundd": 3})
