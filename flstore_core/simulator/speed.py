"""How fast policies decide: simulated events a second of CPU time, for `make bench`."""

import random
from time import process_time

from flstore_core.policies.registry import make_policy
from flstore_core.policies.tailored import policy as tailored
from flstore_core.simulator.events import Trace
from flstore_core.simulator.replay import TraceClock, replay


def how_built() -> str:
    """Return "compiled" or "interpreted": what the policies of this process are."""
    return "interpreted" if tailored.__file__.endswith(".py") else "compiled"


def simulator_events_per_s(trace: Trace, policy: str, budget: int, repeats: int = 60) -> float:
    """Return the events of `trace` replayed in a second, as the best of `repeats` runs; reading it is not counted."""
    return trace.lines / min(_seconds(trace, policy, budget) for _ in range(repeats))


def _seconds(trace: Trace, policy: str, budget: int) -> float:
    clock = TraceClock()
    made = make_policy(policy, budget, clock, random.Random(0))
    began = process_time()
    replay(trace, made, budget, clock)
    return process_time() - began
