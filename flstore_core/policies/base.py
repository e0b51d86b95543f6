"""What a policy sees and answers: the `Policy` protocol and its values.

Whoever drives a policy (`flstore_core.cache.Ledger`) keeps the bytes and promises:

- it calls `arrived`, `committed` and `requested` once for each event, before it caches anything because of that event;
- it offers together what was fetched together: `admits` chooses from it, `evict` makes room for it, `inserted` reports
  what of it is cached now;
- it removes everything that `evict` names, and calls `discarded` for each key that leaves in any other way.

The policy promises to name only victims that were reported to it as inserted and that are not pinned.
"""

from collections import OrderedDict
from collections.abc import Callable, Container, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from flstore_core.errors import FLStoreError
from flstore_core.patterns import Pattern

TimeSource = Callable[[], float]
"""Returns seconds since any fixed moment; it never goes back."""


class Key(NamedTuple):
    """Name of one cached object: one member of one round of a job, or one slice of it."""

    job: str
    round: int
    client: str
    """A client, or `flstore_core.ids.AGGREGATE` or `METADATA`."""
    slice: int = 0


Sizes = Mapping[Key, int]
"""Objects and the bytes of each, in the order in which they come."""

Queue = OrderedDict[Key, int]
"""Objects and the bytes of each; the first is the next to leave."""


class Request(NamedTuple):
    """One workload's read of objects of one slice; a hit if all of `keys` are cached."""

    job: str
    workload: str
    pattern: Pattern
    keys: tuple[Key, ...]


Prefetch = tuple[Sizes, Pattern]
"""Objects that a policy wants fetched ahead, and the pattern it expects to serve. A plain tuple, for speed."""

Victims = tuple[Sizes, str]
"""Objects to evict, and a short, fixed word for the reason (a metric's label). A plain tuple, for speed."""


class Cause(StrEnum):
    """What brought an object into the cache."""

    ARRIVAL = "arrival"
    """It was being ingested."""
    DEMAND = "demand"
    """A request missed it."""
    PREFETCH = "prefetch"
    """The policy expected a request for it."""


class PolicyDefect(FLStoreError):
    """A policy broke its contract, for example by evicting what is not cached. Never the caller's fault."""

    code = "policy-defect"  # two lines, as mypyc needs them
    title = "A caching policy broke its contract"


class Policy(Protocol):
    """Decides what stays within a byte budget."""

    name: str

    def arrived(self, key: Key, size: int) -> bool:
        """Learn of a new object of `size` bytes; return whether to cache it on arrival."""

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        """Learn that a round is complete and immutable; return what to fetch ahead."""

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        """Learn of a request, of whose keys `missing` are not cached; return what to fetch ahead."""

    def admits(self, sizes: Sizes, cause: Cause) -> Sizes:
        """Return those of the offered objects to cache; none of `sizes` is cached yet."""

    def evict(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        """Let go of objects, none of `pinned`, that come to `needed` bytes.

        `needed` may be more than all that is cached and not pinned: then name all of that. Where the victims come to
        fewer bytes, the ledger leaves out newcomers that have no room.
        """

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        """Learn that these objects are cached now."""

    def discarded(self, key: Key) -> None:
        """Learn that `key` is no longer cached, without having been evicted."""

    def forget(self, job: str) -> None:
        """Drop what was learned of a deleted job; its keys have been discarded before.

        The room that they leave is free until the next event: nothing is fetched because of a deletion.
        """

    def reason(self, key: Key) -> str:
        """Return in a few words, for people, why the cached `key` is kept."""


def last_that_fit(sizes: Sizes, room: int) -> Sizes:
    """Return the last of `sizes` that fit into `room` bytes together.

    The last and not the first: had the objects come one by one, later ones would have evicted earlier ones.
    """
    fitting: list[tuple[Key, int]] = []
    for key, size in reversed(list(sizes.items())):
        if size <= room:
            fitting.append((key, size))
            room -= size
    return dict(reversed(fitting))


def take_first(queue: dict[Key, int], needed: int, pinned: Container[Key]) -> Sizes:
    """Remove objects, none of `pinned`, from the front of `queue` until they come to `needed` bytes; return them.

    Removes all that are not pinned if they never come to that.
    """
    taken: dict[Key, int] = {}
    for key, size in queue.items():
        if needed <= 0:
            break
        if not (pinned and key in pinned):
            taken[key] = size
            needed -= size
    for key in taken:
        del queue[key]
    return taken
