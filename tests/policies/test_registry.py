"""The registry is the one place that lists policies; everything else asks it."""

import random
import re
import runpy
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from flstore_core.errors import NotFound
from flstore_core.policies import make_policy, policy_names
from flstore_core.policies.registry import (
    BELADY,
    RIVALS,
    ablation_names,
    how_built,
    names_without_prefetch,
    rival_names,
)
from flstore_core.simulator import simulated_policies
from flstore_core.simulator.command import simulate_command
from loadgen.study.report import CURVES
from services.shard.state import SHADOWS

ROOT = Path(__file__).parents[2]


def test_an_unknown_policy_is_named_with_its_nearest_neighbours() -> None:
    with pytest.raises(NotFound, match="'tailord' does not exist; nearest: tailored"):
        make_policy("tailord", 1, lambda: 0.0, random.Random(0))


def test_the_offline_reference_cannot_run_live() -> None:
    with pytest.raises(NotFound, match="'belady'"):
        make_policy(BELADY, 1, lambda: 0.0, random.Random(0))


def test_names_are_the_tailored_policy_its_ablations_and_two_forms_of_each_rival() -> None:
    assert policy_names() == ["tailored", *ablation_names(), *rival_names()]
    assert len(set(policy_names())) == len(policy_names())
    assert set(rival_names()) == {*RIVALS, *(f"{name}+arrival" for name in RIVALS)}


def test_the_policies_that_never_prefetch_are_the_rivals_and_one_ablation() -> None:
    assert names_without_prefetch() == [*rival_names(), "tailored-no-prefetch"]


def test_the_simulator_runs_every_policy_and_the_reference_and_its_help_says_so() -> None:
    assert simulated_policies() == [*policy_names(), BELADY]
    shown = re.sub(r"\s+", " ", CliRunner().invoke(simulate_command, ["--help"]).output.replace("-\n", "-"))
    assert all(name in shown for name in (*RIVALS, "tailored", BELADY))


def test_every_module_of_the_policies_is_compiled_without_being_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("setuptools.setup", lambda **_: None)
    monkeypatch.delenv("FLSTORE_COMPILE", raising=False)
    built = runpy.run_path(str(ROOT / "setup.py"))
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "flstore_core/policies").rglob("*.py")}
    assert {module for module in modules if not module.endswith("__init__.py")} <= set(built["COMPILED"])
    assert all((ROOT / module).is_file() for module in built["COMPILED"])
    assert built["extensions"]() == []


def test_a_run_from_the_sources_says_that_it_is_interpreted() -> None:
    assert how_built() == "interpreted"


def test_the_selections_made_by_hand_are_of_policies_there_are() -> None:
    live = yaml.safe_load((ROOT / "loadgen/experiments/policies.yaml").read_text())["vary"]["policy"]
    for selection in (SHADOWS, CURVES, live):
        assert set(selection) <= {*policy_names(), BELADY}
