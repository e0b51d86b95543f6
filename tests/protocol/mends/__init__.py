"""Mends that can be taken out again, so that it shows whether schedules would have found what they mended.

Each is a small change of the real code that puts back an error: one that there was once, or one that the order of
steps in `docs/protocol.md` is there to avoid. `python -m tests.protocol --without NAME` plays schedules without the
mend until one breaks a promise. `test_mends.py` has a schedule for each.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.protocol.mends import aggregates, commits, erasures, files, jobs, uploads
from tests.protocol.mends.base import Mend

MENDS: dict[str, Mend] = {
    mend.name: mend for module in (uploads, commits, aggregates, erasures, files, jobs) for mend in module.MENDS
}


@contextmanager
def taken_out(mend: Mend) -> Iterator[None]:
    """Take a mend out for as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        mend.take_out(patch)
        yield


__all__ = ["MENDS", "Mend", "taken_out"]
