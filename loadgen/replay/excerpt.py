"""The part of a trace that is replayed: cut in time, its models shrunk and the cache with them.

Example: of a trace with models of 40 MB and 10 clients a round, `cut(trace, 3600.0, Fraction(1, 1000))` keeps the first
hour with models of 40 kB. Two rounds of budget are then 2 · 11 · 40 kB = 880 kB, in which as many models fit as before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flstore_core.errors import InvalidParameters
from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Request
from flstore_core.simulator.events import Created, Event, Requested, Trace

WORKLOAD = "norms"
"""The workload of every replayed request for models: it reads exactly the keys and the pattern that it is told."""
ITEM_BYTES = 4
"""Of a float32."""


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a trace, with shrunk models."""

    trace: Trace
    original: Trace
    """The same events with models of full size."""
    job: str
    parameters: int
    """Of each model."""
    clients_per_round: int

    @property
    def model_bytes(self) -> int:
        return self.parameters * ITEM_BYTES

    def budget(self, rounds: float) -> int:
        """Return the bytes of `rounds` rounds: their updates and their aggregates."""
        return int(rounds * (self.clients_per_round + 1)) * self.model_bytes

    def original_budget(self, rounds: float) -> int:
        """Return the bytes of `rounds` rounds of models of full size."""
        return int(rounds * (self.clients_per_round + 1)) * max(self.original.sizes.values())


def cut(trace: Trace, seconds: float, shrink: Fraction) -> Excerpt:
    """Return the trace's first `seconds` with models of `shrink` times the size.

    Raises:
        InvalidParameters: unless the trace has one job, whose models all have one size.
    """
    start = trace.events[0].t
    events = [event for event in trace.events if event.t - start <= seconds]
    made = [event for event in events if isinstance(event, Created) and event.key.client != METADATA]
    jobs, sizes = {event.key.job for event in made}, {event.size for event in made}
    if len(jobs) != 1 or len(sizes) != 1:
        raise InvalidParameters(
            f"the trace has {len(jobs)} jobs and {len(sizes)} sizes of models; one of each can be replayed"
        )
    parameters = max(1, round(sizes.pop() * shrink / ITEM_BYTES))
    updates = [event.key.round for event in made if event.key.client != AGGREGATE]
    most = max((updates.count(number) for number in set(updates)), default=1)
    original = Trace(events, len(events), trace.sizes)
    return Excerpt(_with_size(events, parameters * ITEM_BYTES), original, jobs.pop(), parameters, most)


def timed(excerpt: Excerpt, times: Sequence[float]) -> Trace:
    """Return the excerpt as it was replayed: its events at `times`, its models read by `WORKLOAD`."""
    events: list[Event] = []
    for event, t in zip(excerpt.trace.events, times, strict=True):
        if isinstance(event, Requested):
            request = event.request
            events.append(Requested(t, Request(request.job, WORKLOAD, request.pattern, request.keys)))
        else:
            events.append(event._replace(t=t))
    return Trace(events, excerpt.trace.lines, excerpt.trace.sizes)


def split_by_backend(trace: Trace) -> tuple[Trace, Trace]:
    """Return the events of a trace that a shard sees, and those that the gateway answers: metadata and P4."""
    return _only(trace, metadata=False), _only(trace, metadata=True)


def _with_size(events: Iterable[Event], nbytes: int) -> Trace:
    shrunk = [
        event._replace(size=nbytes) if isinstance(event, Created) and event.key.client != METADATA else event
        for event in events
    ]
    sizes = {event.key: event.size for event in shrunk if isinstance(event, Created)}
    return Trace(shrunk, len(shrunk), sizes)


def _only(trace: Trace, metadata: bool) -> Trace:
    def concerns(event: Event) -> bool:
        if isinstance(event, Created):
            return (event.key.client == METADATA) == metadata
        return not isinstance(event, Requested) or (event.request.pattern is Pattern.P4) == metadata

    events = [event for event in trace.events if concerns(event)]
    return Trace(events, len(events), trace.sizes)
