"""The offline reference that no policy without prefetching beats: the best of what an offline policy may do.

Farthest next use is optimal only for equal sizes and one key a request (see `policies.belady`). An offline policy can
also repeat what any other decided that does not look ahead either, so the reference is the best of both forms of
farthest next use and of every rival's own run, by hit requests and then by hit keys.
"""

import random
from collections.abc import Iterator

from flstore_core.cache.ledger import Ledger
from flstore_core.policies.belady import Belady
from flstore_core.policies.registry import RIVALS, make_policy
from flstore_core.simulator.events import Requested, Trace
from flstore_core.simulator.replay import TraceClock, replay

IMITATED = (*RIVALS, "tailored-no-prefetch")
"""Policies whose decisions the reference may repeat: all that do not prefetch."""


def replay_belady(trace: Trace, budget: int, seed: int) -> Ledger:
    """Return the ledger of the best offline run within `budget` bytes."""
    return max((*farthest_next_use(trace, budget), *_imitations(trace, budget, seed)), key=_score)


def farthest_next_use(trace: Trace, budget: int) -> Iterator[Ledger]:
    """Replay both forms of farthest next use: giving whole requests up, and key by key."""
    future = [event.request for event in trace.events if isinstance(event, Requested)]
    for whole in (True, False):
        yield replay(trace, Belady(budget, future, whole), budget, TraceClock())


def _imitations(trace: Trace, budget: int, seed: int) -> Iterator[Ledger]:
    for name in IMITATED:
        clock = TraceClock()
        yield replay(trace, make_policy(name, budget, clock, random.Random(seed)), budget, clock)


def _score(ledger: Ledger) -> tuple[int, int]:
    overall = ledger.overall()
    return overall.hits, overall.key_hits
