"""The events of a trace, as the simulator replays them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flstore_core.policies.base import Key, Request

METADATA_BYTES = 16 * 1024
"""Size of a round's metadata and statistics together: metrics of ten clients and their Gram matrix take about this."""


class Created(NamedTuple):
    """An object was created: an update, an aggregate or, with the first of its round, the round's metadata."""

    t: float
    key: Key
    size: int


class Committed(NamedTuple):
    """A round was committed."""

    t: float
    job: str
    round: int


class Requested(NamedTuple):
    """A workload requested `request.keys`."""

    t: float
    request: Request


Event = Created | Committed | Requested


@dataclass(frozen=True)
class Trace:
    """Events in order of time, and the sizes of their objects."""

    events: Sequence[Event]
    lines: int
    """Lines of the file; fewer than events, since a commit's line creates the aggregate as well."""
    sizes: dict[Key, int] = field(repr=False)
    """Bytes of every object that the trace creates."""
