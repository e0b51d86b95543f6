"""What a policy sees and answers: the `Policy` protocol and its values.

The one who drives a policy (`flstore_core.cache.Ledger`) keeps the bytes and promises:

- `arrived`, `committed` and `requested` are called once for each event, before anything is cached because of it;
- `inserted` and `removed` are called for each key that enters or leaves, whatever the reason;
- `victim` is called as often as room is still missing, and each answer is evicted before the next call.

The policy promises to name only victims that it was told are inserted and that are not pinned.
"""

from collections.abc import Callable, Container, Sequence
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


class Request(NamedTuple):
    """One workload's read; a hit when all of `keys` are cached."""

    job: str
    workload: str
    pattern: Pattern
    keys: tuple[Key, ...]


class Prefetch(NamedTuple):
    """A key that a policy wants fetched before anyone asks for it, and the pattern it expects to serve."""

    key: Key
    pattern: Pattern


Victim = tuple[Key, str]
"""A key to evict and a short, fixed word for the reason (a metric's label)."""


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

    code, title = "policy-defect", "A caching policy broke its contract"


class Policy(Protocol):
    """Decides what stays within a byte budget."""

    name: str

    def arrived(self, key: Key, size: int) -> bool:
        """Learn of a new object of `size` bytes; say whether to cache it on arrival."""

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        """Learn that a round is complete and immutable; name what to fetch ahead."""

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        """Learn of a request, of whose keys `missing` are not cached; name what to fetch ahead."""

    def admits(self, key: Key, size: int, why: Why) -> bool:
        """Say whether an object of `size` bytes that is at hand should be cached."""

    def victim(self, pinned: Container[Key]) -> Victim | None:
        """Name the next key to evict, none of `pinned`; None where the newcomer should rather stay out."""

    def inserted(self, key: Key, size: int) -> None:
        """Learn that `key` is cached now."""

    def removed(self, key: Key) -> None:
        """Learn that `key` is no longer cached."""

    def forget(self, job: str) -> None:
        """Drop what was learned of a deleted job; its keys have been removed before."""

    def reason(self, key: Key) -> str:
        """Say in a few words, for people, why the cached `key` is kept."""
