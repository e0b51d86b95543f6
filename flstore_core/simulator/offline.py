"""The offline reference that no policy without prefetching beats: the best of what an offline policy may do.

Farthest next use is optimal only for equal sizes and one key a request (`flstore_core.policies.belady`). An offline
policy can also repeat the decisions of any other policy that does not prefetch. So the reference is the best of both
forms of farthest next use and of each such policy's own run, by request hits and then by key hits.
"""

import random
from collections.abc import Iterator

from flstore_core.cache.ledger import Ledger
from flstore_core.policies.belady import Belady
from flstore_core.policies.registry import make_policy, names_without_prefetch
from flstore_core.simulator.events import Requested, Trace
from flstore_core.simulator.replay import TraceClock, replay


def replay_belady(trace: Trace, budget: int, seed: int) -> Ledger:
    """Return the ledger of the best offline run within `budget` bytes."""
    return max((*farthest_next_use(trace, budget), *_imitations(trace, budget, seed)), key=_score)


def farthest_next_use(trace: Trace, budget: int) -> Iterator[Ledger]:
    """Yield the ledgers of both forms of farthest next use: by whole requests, and by keys."""
    future = [event.request for event in trace.events if isinstance(event, Requested)]
    for whole in (True, False):
        yield replay(trace, Belady(budget, future, whole), budget, TraceClock())


def _imitations(trace: Trace, budget: int, seed: int) -> Iterator[Ledger]:
    for name in names_without_prefetch():
        clock = TraceClock()
        yield replay(trace, make_policy(name, budget, clock, random.Random(seed)), budget, clock)


def _score(ledger: Ledger) -> tuple[int, int]:
    overall = ledger.overall()
    return overall.hits, overall.key_hits
