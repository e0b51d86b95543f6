"""How many events of a trace the simulator replays in a second of CPU, from the source and compiled.

`make bench` compiles the policies before (docs/decisions/compiled-policies.md). The trace is the generator's default
(the paper's mix, 1,000 rounds of 10 clients, 3,000 requests), the budget two rounds: 22 objects.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.bench.row import Row

ROOT = Path(__file__).parents[2]
COMPILED = ROOT / "build" / "compiled"
TARGETS = {"lru": 200_000.0, "tailored": 100_000.0}

MEASURE = """
import json, sys
from flstore_core.simulator import read_trace
from flstore_core.simulator.speed import how_built, simulator_events_per_s
from loadgen.traces.trace import TraceSettings, generate

settings = TraceSettings()
trace = read_trace(json.dumps(event) for event in generate(settings))
speeds = {policy: simulator_events_per_s(trace, policy, 2 * settings.round_bytes) for policy in sys.argv[1:]}
print(json.dumps({"built": how_built(), "lines": trace.lines, "speeds": speeds}))
"""


def rows() -> list[Row]:
    """Replay one trace through each policy, many times, and take the best; in processes of their own."""
    plain, fast = (
        json.loads(
            subprocess.check_output(
                [sys.executable, "-P", "-c", MEASURE, *TARGETS], env={**os.environ, "PYTHONPATH": str(package)}
            )
        )
        for package in (ROOT, COMPILED if COMPILED.is_dir() else ROOT)
    )
    return [
        Row(
            f"simulator_events_per_s[{policy}]",
            fast["speeds"][policy],
            "events/s",
            target,
            "higher",
            f"of CPU, {fast['built']}; interpreted {plain['speeds'][policy]:.3g}; {fast['lines']} events, two rounds",
        )
        for policy, target in TARGETS.items()
    ]
