"""A live shard hits as often as the simulator says it would."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

from flstore_core.client import FLStore
from flstore_core.errors import InvalidParameters
from flstore_core.simulator import read_trace
from loadgen.__main__ import main
from loadgen.replay.excerpt import cut
from loadgen.replay.hit_rates import TOLERANCE, HitRates, compare
from loadgen.traces.generator import TraceSettings, generate
from services.local.running import running

SETTINGS = TraceSettings(clients=25, per_round=10, rounds=8, requests=160, hours=0.4)
UPDATE = {"t": 0.0, "event": "update", "job": "j", "round": 0, "client": "a", "bytes": 4000}


def test_live_and_simulated_hit_rates_agree(tmp_path: Path) -> None:
    excerpt = cut(read_trace(json.dumps(event) for event in generate(SETTINGS)), 3600.0, Fraction(1, 1000))
    budget = excerpt.budget(2)
    assert budget == 22 * 46_760  # Two rounds of ten updates and an aggregate, each of 11,690 float32.
    with (
        running(f"{tmp_path}/store", shards=1, cache_size=str(budget), idle_seconds=0, log=tmp_path / "log") as (
            url,
            _,
        ),
        FLStore(url) as client,
    ):
        rows = {row.name: row for row in compare(client, excerpt, 2, "tailored", speed=80.0)}
        caches = client.cache()
    assert list(rows) == ["P1", "P2", "P3", "P4", "all"]
    assert all(row.agree for row in rows.values()), rows
    assert abs(rows["all"].live - rows["all"].simulated) <= TOLERANCE
    assert 0.8 < rows["all"].live < 1.0
    (inventory,) = (shard["inventory"] for shard in caches["shards"] if "inventory" in shard)
    assert inventory["policy"] == "tailored"
    assert inventory["P2"]["prefetches_used"] > 0
    assert inventory["used_bytes"] <= budget


def test_rates_that_differ_do_not_agree() -> None:
    assert HitRates("all", 1000, 0.90, 0.909, 0.9).agree
    assert not HitRates("all", 1000, 0.90, 0.92, 0.9).agree
    assert HitRates("P1", 20, 0.90, 0.95, 0.9).agree
    assert not HitRates("P1", 20, 0.90, 1.00, 0.9).agree


@pytest.mark.parametrize("other", [{"job": "k"}, {"client": "b", "bytes": 8000}])
def test_a_trace_of_several_jobs_or_sizes_is_refused(other: dict[str, object]) -> None:
    trace = read_trace([json.dumps(UPDATE), json.dumps(UPDATE | other)])
    with pytest.raises(InvalidParameters, match="one of each can be replayed"):
        cut(trace, 3600.0, Fraction(1, 10))


@pytest.mark.parametrize(
    ("shrink", "complaint"), [("x", "is no fraction"), ("1/0", "is no fraction"), ("2", "at most")]
)
def test_what_is_no_fraction_is_refused(tmp_path: Path, shrink: str, complaint: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(UPDATE))
    result = CliRunner().invoke(main, ["replay", str(path), "--shrink", shrink])
    assert result.exit_code == 2
    assert complaint in result.output
