"""What a mend is, and ways to take one out."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch

import pytest

from flstore_core.storage import Body, ObjectInfo
from tests.protocol.store import FaultyStore

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mend:
    """Something in the code without which a promise is broken."""

    name: str
    without: str
    """What goes wrong without it."""
    take_out: Callable[[Patch], None]
    theme: str
    """Of schedules that show it."""
    seed: int
    """Of such a schedule. If the code has changed so that it shows nothing any more, others are tried."""


def ignore_conditions(patch: Patch, pattern: str) -> None:
    """Have the store ignore the conditions of writes to keys that fit a pattern."""
    put = FaultyStore.put

    def put_anyway(
        store: FaultyStore, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None
    ) -> ObjectInfo:
        if fnmatch(key, pattern):
            return put(store, key, body)
        return put(store, key, body, if_none_match=if_none_match, if_match=if_match)

    patch.setattr(FaultyStore, "put", put_anyway)
