"""The recipes of CONTRIBUTING.md, followed to the letter."""

import json
import random
import re
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from flstore_core.cli import main
from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Request, make_policy, registry
from flstore_core.policies.base import Cause

PAGE = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()


def blocks(heading: str, language: str) -> list[str]:
    """Return the code blocks in a language that stand under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [dedent(code) for code in re.findall(rf"^ *```{language}\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)]


@pytest.fixture
def _mru(monkeypatch: pytest.MonkeyPatch) -> None:
    """Follow the recipe for a policy: its file, and its line in the registry."""
    file, line = blocks("Add a caching policy", "python")
    module: dict[str, object] = {"__name__": "mru"}
    exec(file, module)
    exec(f"RIVALS = {{{line}}}", module)
    monkeypatch.setattr(registry, "RIVALS", {**registry.RIVALS, **module["RIVALS"]})  # type: ignore[dict-item]


@pytest.mark.usefixtures("_mru")
def test_the_policy_of_the_recipe_evicts_what_was_used_last() -> None:
    policy = make_policy("mru", 100, lambda: 0.0, random.Random(0))
    a, b, c = (Key("job", 1, client) for client in "abc")
    policy.inserted({a: 10, b: 10, c: 10}, Cause.DEMAND)
    policy.requested(Request("job", "norms", Pattern.P2, (a,)), ())
    assert list(policy.evict(15, ())) == [({a: 10, c: 10}, "most-recent")]
    assert list(policy.evict(1, {b})) == [({}, "most-recent")]


@pytest.mark.usefixtures("_mru")
def test_the_policy_of_the_recipe_is_simulated_by_name(tmp_path: Path) -> None:
    """A scan over three objects that starts over five times, with room for two: LRU always evicts the next one."""
    events = [
        {"t": 0.0, "event": "update", "job": "j", "round": 1, "client": client, "bytes": 40_000} for client in "abc"
    ]
    for turn in range(15):
        keys = [{"round": 1, "client": "abc"[turn % 3]}]
        request = {"t": 1.0 + turn, "event": "request", "job": "j", "workload": "norms", "pattern": "P2", "keys": keys}
        events.append(request)
    (tmp_path / "trace").write_text("\n".join(map(json.dumps, events)))
    options = ["--policy", "mru,lru", "--budget", "80000", "--json", str(tmp_path / "figures")]
    result = CliRunner().invoke(main, ["simulate", str(tmp_path / "trace"), *options])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures").read_text())["policies"]
    hits = {name: figures[name]["overall"]["hits"] for name in figures}
    assert hits == {"mru": 6, "lru": 0}


def test_the_steps_of_an_upload_name_where_each_refusal_is_made() -> None:
    section = PAGE.partition("\n## Change how uploads are handled\n")[2].partition("\n## ")[0]
    root = Path(__file__).parent.parent
    uploads = next(row for row in section.splitlines() if "byte budget" in row)
    source = (root / uploads.split("`")[1]).read_text()
    for error in ("TooLarge", "Busy", "TooSlow"):
        assert f"raise {error}" in source
