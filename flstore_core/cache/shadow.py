"""A cache of keys and sizes only: what a policy would have hit, had it been in charge.

The simulator replays traces through one; a live shard runs one for each rival policy beside its real cache.
"""

from collections.abc import Mapping, Sequence

from flstore_core.cache.ledger import Access, Ledger
from flstore_core.policies.base import Key, Prefetch, Request, Why

_DEMAND, _PREFETCH = Why.DEMAND, Why.PREFETCH


class Shadow:
    """A ledger whose misses and prefetches are filled at once, by the sizes in `sizes`.

    `sizes` may be shared and grow meanwhile; a key it does not know weighs nothing.
    """

    def __init__(self, ledger: Ledger, sizes: Mapping[Key, int]) -> None:
        self.ledger = ledger
        self._sizes = sizes

    def ingest(self, key: Key, size: int) -> None:
        """Offer a newly created object of `size` bytes."""
        self.ledger.ingest(key, size)

    def commit(self, job: str, round: int, slice: int = 0) -> None:  # noqa: A002
        """Close a round and prefetch what the policy wants."""
        self._prefetch(self.ledger.commit(job, round, slice))

    def request(self, request: Request) -> Access:
        """Count a request, then fill its misses and what the policy wants fetched."""
        access = self.ledger.request(request)
        if access.missing:
            size_of = self._sizes.get
            self.ledger.fill({key: size_of(key, 0) for key in access.missing}, _DEMAND, request.pattern)
        if access.prefetches:
            self._prefetch(access.prefetches)
        return access

    def _prefetch(self, prefetches: Sequence[Prefetch]) -> None:
        for sizes, pattern in prefetches:
            self.ledger.fill(sizes, _PREFETCH, pattern)
