"""How many events of a trace the simulator replays in a second of CPU.

`make bench` compiles the policies before (docs/decisions/compiled-policies.md). The trace is the generator's default
(the paper's mix, 1,000 rounds of 10 clients, 3,000 requests), the budget two rounds: 22 objects.
"""

import json

from flstore_core.policies import tailored
from flstore_core.simulator import read_trace
from flstore_core.simulator.speed import simulator_events_per_s
from loadgen.trace import TraceSettings, generate
from tests.bench.row import Row

TARGETS = {"lru": 200_000.0, "tailored": 100_000.0}
BUDGET_ROUNDS = 2


def rows() -> list[Row]:
    """Replay one trace through each policy, several times, and take the best."""
    settings = TraceSettings()
    trace = read_trace(json.dumps(event) for event in generate(settings))
    budget = BUDGET_ROUNDS * settings.round_bytes
    how = "interpreted" if tailored.__file__.endswith(".py") else "compiled"
    return [
        Row(
            f"simulator_events_per_s[{policy}]",
            simulator_events_per_s(trace, policy, budget),
            "events/s",
            target,
            "higher",
            f"of CPU, {how}; {trace.lines} events, {BUDGET_ROUNDS} rounds of budget",
        )
        for policy, target in TARGETS.items()
    ]
