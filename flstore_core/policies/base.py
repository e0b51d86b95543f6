"""What a policy sees and answers: the `Policy` protocol and its values.

The one who drives a policy (`flstore_core.cache.Ledger`) keeps the bytes and promises:

- `arrived`, `committed` and `requested` are called once for each event, before anything is cached because of it;
- what is fetched together is offered together: `admits` chooses from it, `evict` makes room for it, `inserted` tells
  what of it is cached now;
- all that `evict` names leaves; `discarded` tells of each key that leaves otherwise.

The policy promises to name only victims that it was told are inserted and that are not pinned.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from flstore_core.errors import FLStoreError
from flstore_core.patterns import Pattern

Clock = Callable[[], float]
"""Seconds, from any fixed beginning, never going back."""


class Key(NamedTuple):
    """Name of one cached object: one member of one round of a job, or one slice of it."""

    job: str
    round: int
    client: str
    """A client, or `flstore_core.ids.AGGREGATE` or `METADATA`."""
    slice: int = 0


Sizes = Mapping[Key, int]
"""Objects and the bytes of each, in the order in which they come."""


class Request(NamedTuple):
    """One workload's read of keys of one slice; a hit when all of `keys` are cached."""

    job: str
    workload: str
    pattern: Pattern
    keys: tuple[Key, ...]


Prefetch = tuple[Sizes, Pattern]
"""Objects that a policy wants fetched ahead, and the pattern it expects to serve. Plain, for speed."""

Victims = tuple[Sizes, str]
"""Objects to evict, and a short, fixed word for the reason (a metric's label). Plain, for speed."""


def last_that_fit(sizes: Sizes, room: int) -> Sizes:
    """Return the last of `sizes` that have room together: had they come one by one, the others would have left."""
    fitting: list[tuple[Key, int]] = []
    for key, size in reversed(list(sizes.items())):
        if size <= room:
            fitting.append((key, size))
            room -= size
    return dict(reversed(fitting))


class Why(StrEnum):
    """What brought an object into the cache."""

    ARRIVAL = "arrival"
    """It was being ingested."""
    DEMAND = "demand"
    """A request missed it."""
    PREFETCH = "prefetch"
    """The policy expected a request for it."""


class PolicyDefect(FLStoreError):
    """A policy broke its contract, such as by evicting what is not cached. Never the caller's fault."""

    code = "policy-defect"  # two lines, as mypyc wants them
    title = "A caching policy broke its contract"


class Policy(Protocol):
    """Decides what stays within a byte budget."""

    name: str

    def arrived(self, key: Key, size: int) -> bool:
        """Learn of a new object of `size` bytes; say whether to cache it on arrival."""

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        """Learn that a round is complete and immutable; name what to fetch ahead."""

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        """Learn of a request, of whose keys `missing` are not cached; name what to fetch ahead."""

    def admits(self, sizes: Sizes, why: Why) -> Sizes:
        """Return those of the objects at hand that should be cached, none of which is."""

    def evict(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        """Let go of objects, none of `pinned`, of `needed` bytes; of fewer where newcomers should rather stay out."""

    def inserted(self, sizes: Sizes, why: Why) -> None:
        """Learn that these are cached now."""

    def discarded(self, key: Key) -> None:
        """Learn that `key` is no longer cached, without having been evicted."""

    def forget(self, job: str) -> None:
        """Drop what was learned of a deleted job; its keys have been removed before."""

    def reason(self, key: Key) -> str:
        """Say in a few words, for people, why the cached `key` is kept."""
