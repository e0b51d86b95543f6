"""Counts the bytes of uploads under way, so that a gateway refuses early rather than run out of memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from flstore_core.errors import Busy, TooLarge


class ByteBudget:
    """Bytes that may be in flight at once. Used from the event loop only."""

    def __init__(self, limit: int, largest: int) -> None:
        self._limit = limit
        self._largest = min(largest, limit)
        self.used = 0

    @contextmanager
    def hold(self, nbytes: int) -> Iterator[None]:
        """Count `nbytes` for as long as an upload lasts.

        Raises:
            TooLarge: if one body may never be that large.
            Busy: if it fits, but not beside what is in flight.
        """
        if nbytes > self._largest:
            raise TooLarge(f"the body has {nbytes} bytes; at most {self._largest} are accepted")
        if self.used + nbytes > self._limit:
            raise Busy(f"{self.used} of {self._limit} bytes of uploads are in flight; try again shortly")
        self.used += nbytes
        try:
            yield
        finally:
            self.used -= nbytes
