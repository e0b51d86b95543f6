"""Random histories of a training run and its requests, for property tests."""

from hypothesis import strategies as st

from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Request
from flstore_core.simulator.events import Committed, Created, Event, Requested, Trace

JOB = "job"
CLIENTS = ("a", "b", "c", "d")


@st.composite
def traces(draw: st.DrawFn, equal_sizes: bool = False, single_keys: bool = False) -> Trace:
    """Draw a short trace; with `equal_sizes` all objects have 10 bytes, with `single_keys` requests name one key."""
    sizes: dict[Key, int] = {}
    events: list[Event] = []
    size = st.just(10) if equal_sizes else st.integers(0, 30)
    for number in range(draw(st.integers(1, 5))):
        members = [*draw(st.lists(st.sampled_from(CLIENTS), min_size=1, max_size=4, unique=True)), AGGREGATE]
        if not single_keys:
            members.append(METADATA)
        for member in members:
            key = Key(JOB, number, member)
            sizes[key] = draw(size)
            events.append(Created(_after(draw, events), key, sizes[key]))
        events.append(Committed(_after(draw, events), JOB, number))
        for _ in range(draw(st.integers(0, 6))):
            events.append(Requested(_after(draw, events), _request(draw, list(sizes), single_keys)))
    return Trace(events, len(events), sizes)


def _after(draw: st.DrawFn, events: list[Event]) -> float:
    return (events[-1].t if events else 0.0) + draw(st.sampled_from((0.0, 0.5, 3.0, 40.0)))


def _request(draw: st.DrawFn, keys: list[Key], single: bool) -> Request:
    chosen = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=1 if single else 5, unique=True))
    return Request(JOB, draw(st.sampled_from(("x", "y"))), draw(st.sampled_from(list(Pattern))), tuple(chosen))
