"""Each mend is needed: without it, a schedule breaks a promise."""

import pytest

from tests.protocol.mends import MENDS, Mend, taken_out
from tests.protocol.promises import broken
from tests.protocol.schedules import play_seed

MOST_TRIES = 4_000
"""Seeds that are tried if the code has changed so that a mend's own seed shows nothing any more; choose another."""


@pytest.mark.parametrize("mend", MENDS.values(), ids=MENDS)
def test_without_a_mend_a_schedule_breaks_a_promise(mend: Mend) -> None:
    assert list(broken(play_seed(mend.seed, mend.theme))) == [], "it is the missing mend that breaks the promise"
    with taken_out(mend):
        tried = (broken(play_seed(seed, mend.theme)) for seed in (mend.seed, *range(MOST_TRIES)))
        assert any(any(promises) for promises in tried), (
            f"find another seed: python -m tests.protocol --without {mend.name}"
        )
