"""Replays a trace through one policy."""

from flstore_core.cache.ledger import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.policies.base import Policy
from flstore_core.simulator.events import Committed, Created, Trace


class TraceClock:
    """A clock that shows the time of the event being replayed."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def replay(trace: Trace, policy: Policy, budget: int, clock: TraceClock) -> Ledger:
    """Drive `policy` through the trace within `budget` bytes; return the ledger with its counters.

    Every miss is filled at once and every prefetch is there before the next event. Raises `InsufficientCapacity` for
    a budget smaller than one object.
    """
    ledger = Ledger(policy, budget, clock)
    shadow = Shadow(ledger, trace.sizes)
    for event in trace.events:
        clock.now = event.t
        if isinstance(event, Created):
            ledger.ingest(event.key, event.size)
        elif isinstance(event, Committed):
            shadow.commit(event.job, event.round)
        else:
            shadow.request(event.request)
    return ledger
