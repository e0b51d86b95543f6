"""The recipe for adding a policy, in the docstring of `flstore_core.policies`, followed to the letter."""

import importlib.util
import json
import random
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import flstore_core.policies
from flstore_core.cache import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Request, make_policy, policy_names, registry
from flstore_core.policies.classic.base import Classic
from flstore_core.simulator.command import simulate_command
from manifests.generated import SCHEMA, generated
from tests.policies.contract import LAWS, Law

MRU = '''
"""Most recently used (Chou and DeWitt, "An evaluation of buffer management strategies", VLDB 1985)."""

from collections.abc import Container, Sequence

from flstore_core.policies.base import Cause, Key, Queue, Sizes, take_first
from flstore_core.policies.classic.base import Classic


class MRU(Classic):
    """Evicts the key whose last use was most recent: good for loops that are larger than the cache."""

    base_name = "mru"
    kept_because = "not used recently"
    evicted_because = "most-recent"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._queue = Queue()

    def touched(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if key in self._queue:
                self._queue.move_to_end(key, last=False)

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        return take_first(self._queue, needed, pinned)

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        for key, size in sizes.items():
            self._queue[key] = size
            self._queue.move_to_end(key, last=False)

    def discarded(self, key: Key) -> None:
        del self._queue[key]
'''


@pytest.fixture
def mru(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Classic]:
    """Steps 1 and 2: a module of its own, and one entry in the registry."""
    (tmp_path / "mru.py").write_text(MRU)
    spec = importlib.util.spec_from_file_location("mru_of_the_recipe", tmp_path / "mru.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    made: type[Classic] = module.MRU
    monkeypatch.setitem(registry.RIVALS, "mru", lambda inputs, on_arrival: made(on_arrival))
    return made


@pytest.mark.usefixtures("mru")
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", ["mru", "mru+arrival"])
def test_step_3_the_contract_suite_covers_it(law: Law, name: str) -> None:
    assert name in policy_names()
    law(name)


@pytest.mark.usefixtures("mru")
def test_step_3_the_algorithm_is_tested_beside_it() -> None:
    """A loop of four over room for three: MRU keeps two of them, LRU none."""
    sizes = {Key("j", number, "a"): 10 for number in range(4)}
    hits = {}
    for name in ("mru", "lru"):
        shadow = Shadow(Ledger(make_policy(name, 30, lambda: 0.0, random.Random(0)), 30, lambda: 0.0), sizes)
        for _ in range(10):
            for key in sizes:
                shadow.request(Request("j", "w", Pattern.P1, (key,)))
        hits[name] = shadow.ledger.overall().hits
    assert hits["mru"] > 18
    assert hits["lru"] == 0


@pytest.mark.usefixtures("mru")
def test_step_4_the_simulator_runs_it(tmp_path: Path) -> None:
    trace, output = tmp_path / "T.jsonl", tmp_path / "out.json"
    update = {"t": 0.0, "event": "update", "job": "j", "round": 0, "client": "a", "bytes": 10}
    request = {"t": 1.0, "event": "request", "job": "j", "workload": "w", "pattern": "P2"}
    asked = [{**request, "keys": [{"round": 0, "client": "a"}]}] * 2
    trace.write_text("".join(json.dumps(event) + "\n" for event in (update, *asked)))
    result = CliRunner().invoke(
        simulate_command, [str(trace), "--policy", "mru,lru", "--budget", "20KiB", "--json", str(output)]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(output.read_text())["policies"]["mru"]["overall"]["hits"] == 1


@pytest.mark.usefixtures("mru")
def test_step_5_the_chart_accepts_it_once_it_is_generated() -> None:
    schema = json.loads(generated()[SCHEMA])
    assert {"mru", "mru+arrival"} <= set(schema["properties"]["shards"]["properties"]["policy"]["enum"])


def test_the_recipe_names_what_these_steps_use() -> None:
    recipe = flstore_core.policies.__doc__
    assert recipe is not None
    for name in (
        "classic.base.Classic",
        "`RIVALS`",
        "registry.py",
        "tests/policies",
        "flstore simulate",
        "make generate",
    ):
        assert name in recipe
    assert [line[0] for line in recipe.splitlines() if line[:1].isdigit()] == list("12345")
