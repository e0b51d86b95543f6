"""Replays a trace through one policy."""

import gc

from flstore_core.cache.ledger import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.policies.base import Policy
from flstore_core.simulator.events import Committed, Created, Requested, Trace


class TraceClock:
    """A clock that shows the time of the event that is being replayed."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def replay(trace: Trace, policy: Policy, budget: int, clock: TraceClock) -> Ledger:
    """Drive `policy` through the trace within `budget` bytes; return the ledger with its counters.

    Every miss is filled at once, and every prefetch is cached before the next event. Raises `InsufficientCapacity` for
    a budget smaller than one object.
    """
    ledger = Ledger(policy, budget, clock)
    gc.freeze()  # The trace is large and stays: otherwise the collector would scan it again and again.
    try:
        _drive(trace, Shadow(ledger, trace.sizes), clock)
    finally:
        gc.unfreeze()
    return ledger


def _drive(trace: Trace, shadow: Shadow, clock: TraceClock) -> None:
    # Every event of every policy goes through this loop. Most are creations, so these are looked for first, by the
    # quickest test, and read by position. The clock is set before the event: policies ask it for the time.
    ingest = shadow.ledger.ingest
    for event in trace.events:
        clock.now = event[0]
        if type(event) is Created:
            ingest(event[1], event[2])
        elif isinstance(event, Requested):
            shadow.request(event.request)
        elif isinstance(event, Committed):
            shadow.commit(event.job, event.round)
