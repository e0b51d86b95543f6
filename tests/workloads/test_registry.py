"""The registry, with packages that are really on the path."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flstore_core.errors import BrokenWorkload, InvalidParameters, NotFound
from flstore_core.workloads import registry

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
    assert registry.broken().keys() == {"misnamed", "halved", "unlicensed"}
    assert "no licence" in registry.broken()["unlicensed"]
    assert "calls itself 'another'" in registry.broken()["misnamed"]
    assert "lacks pattern" in registry.broken()["halved"]
    assert "'unlicensed' is left out" in caplog.text
    with pytest.raises(BrokenWorkload, match="no licence"):
        registry.get("unlicensed")


@pytest.mark.usefixtures("package")
def test_a_users_package_cannot_take_a_built_in_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert type(registry.get("aggregate")).__module__ == "flstore_core.workloads.aggregate"
    assert "'aggregate' of their_workloads:HowMany is ignored" in caplog.text


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(NotFound, match="cosine-similarity") as caught:
        registry.get("cosine-similarities")
    assert caught.value.extensions["nearest"][0] == "cosine-similarity"


def test_every_built_in_workload_loads_under_its_own_name() -> None:
    built_in = registry.load()
    assert {"aggregate", "clustering", "cosine-similarity", "malicious-filter", "metrics", "reputation"} <= set(
        built_in
    )
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
