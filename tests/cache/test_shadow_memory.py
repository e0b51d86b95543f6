"""Shadow caches stay small beside the cache that they shadow."""

import json
import random
import tracemalloc

import pytest

from flstore_core.cache import Ledger
from flstore_core.policies import make_policy, policy_names
from flstore_core.simulator import read_trace
from flstore_core.simulator.replay import TraceClock, replay
from loadgen.traces.generator import TraceSettings, generate


@pytest.mark.parametrize("name", policy_names())
def test_a_shadow_takes_at_most_two_per_cent_of_its_budget(name: str) -> None:
    # The smallest model leaves the least room.
    settings = TraceSettings(rounds=300, requests=900, hours=15.0, model="mobilenet_v3_small")
    trace = read_trace(json.dumps(event) for event in generate(settings))
    budget = 2 * settings.round_bytes
    clock = TraceClock()
    tracemalloc.start()
    try:
        ledger: Ledger = replay(trace, make_policy(name, budget, clock, random.Random(0)), budget, clock)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ledger.overall().requests == settings.requests
    assert taken <= 0.02 * budget
