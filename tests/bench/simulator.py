"""How many events of a trace the simulator replays in a second of CPU, from the source and compiled.

`make bench` compiles the policies first (docs/decisions/compiled-policies.md). The trace is the generator's default
(the paper's mix, 1,000 rounds of 10 clients, 3,000 requests), the budget two rounds: 22 objects.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Any

from flstore_core.policies.registry import how_built, make_policy
from flstore_core.simulator import Trace, read_trace
from flstore_core.simulator.replay import TraceClock, replay
from loadgen.traces.generator import TraceSettings, generate
from tests.bench.row import Row

ROOT = Path(__file__).parents[2]
COMPILED = ROOT / "build" / "compiled"
TARGETS = {"lru": 200_000.0, "tailored": 100_000.0}
REPEATS = 60


def rows() -> list[Row]:
    """Replay one trace through each policy, many times, and take the best; in processes of their own."""
    plain, fast = _measured_with(ROOT), _measured_with(COMPILED if COMPILED.is_dir() else ROOT)
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


def measure() -> None:
    """Print the speeds of this process's policies as JSON."""
    settings = TraceSettings()
    trace = read_trace(json.dumps(event) for event in generate(settings))
    speeds = {policy: _events_per_s(trace, policy, 2 * settings.round_bytes) for policy in TARGETS}
    sys.stdout.write(json.dumps({"built": how_built(), "lines": trace.lines, "speeds": speeds}))


def _measured_with(package: Path) -> dict[str, Any]:
    """Measure in a process that imports FLStore from the folder `package`, and this benchmark from here."""
    command = [sys.executable, "-P", "-c", "from tests.bench.simulator import measure; measure()"]
    env = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{ROOT}"}
    measured: dict[str, Any] = json.loads(subprocess.check_output(command, env=env))
    return measured


def _events_per_s(trace: Trace, policy: str, budget: int) -> float:
    """Return the events of `trace` replayed in a second, as the best of many runs; reading it is not counted."""
    return trace.lines / min(_seconds(trace, policy, budget) for _ in range(REPEATS))


def _seconds(trace: Trace, policy: str, budget: int) -> float:
    clock = TraceClock()
    fresh = make_policy(policy, budget, clock, random.Random(0))
    began = process_time()
    replay(trace, fresh, budget, clock)
    return process_time() - began
