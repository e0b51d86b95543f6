"""The policy of CONTRIBUTING.md's recipe is covered by everything that derives from the registry.

`tests/test_contributing.py` tests its algorithm and simulates it.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

import flstore_core.policies
from flstore_core.policies import policy_names, registry
from flstore_core.policies.registry import names_without_prefetch, rival_names
from flstore_core.simulator import simulated_policies
from manifests.generated import SCHEMA, generated
from tests.policies.contract import LAWS, Law
from tests.test_contributing import PAGE, blocks

HEADING = "Add a caching policy"


@pytest.fixture
def mru(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps 1 and 2: the page's module, in a file of its own, and the page's line in the registry."""
    module_text, entry = blocks(HEADING, "python")
    (tmp_path / "mru.py").write_text(module_text)
    spec = importlib.util.spec_from_file_location("mru_of_the_recipe", tmp_path / "mru.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    for name, make in eval(f"{{{entry}}}", {"MRU": module.MRU}).items():
        monkeypatch.setitem(registry.RIVALS, name, make)


@pytest.mark.usefixtures("mru")
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", ["mru", "mru+arrival"])
def test_the_contract_suite_covers_it(law: Law, name: str) -> None:
    assert name in policy_names()
    law(name)


@pytest.mark.usefixtures("mru")
def test_simulator_study_and_offline_reference_know_it() -> None:
    for names in (simulated_policies(), rival_names(), names_without_prefetch()):
        assert {"mru", "mru+arrival"} <= set(names)


@pytest.mark.usefixtures("mru")
def test_the_chart_accepts_it_once_it_is_generated() -> None:
    schema = json.loads(generated()[SCHEMA])
    assert {"mru", "mru+arrival"} <= set(schema["properties"]["shards"]["properties"]["policy"]["enum"])


def test_the_package_and_the_page_name_the_same_steps() -> None:
    short = flstore_core.policies.__doc__
    section = PAGE.partition(f"\n## {HEADING}\n")[2].partition("\n## ")[0]
    assert short is not None
    for text in (short, section):
        for name in ("RIVALS", "registry.py", "tests/policies", "flstore simulate", "FLSTORE_POLICY", "make generate"):
            assert name in text
        assert "CHANGELOG.md" in text
        assert re.findall(r"^(\d)\. ", text, re.MULTILINE) == list("123456")
