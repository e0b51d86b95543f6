"""What an `FLJob` declares, and the job and retention that follow from it."""

from hypothesis import given
from hypothesis import strategies as st

from flstore_core.ids import JobId
from services.placement.fljobs.spec import SLACK, Declaration, compute_retention


@given(st.integers(1, 100_000), st.integers(6, 3600))
def test_shards_stay_until_the_next_round_is_due_unless_that_is_too_far_off(interval: int, window: int) -> None:
    stays = compute_retention(Declaration(JobId("j"), interval_s=interval), window) + window
    if interval * SLACK <= 3600:
        assert stays >= interval
    assert compute_retention(Declaration(JobId("j"), interval_s=interval), window) <= 3600


def test_what_a_job_says_of_retention_goes_before_its_interval() -> None:
    assert compute_retention(Declaration(JobId("j"), interval_s=600, retention_s=30), 60) == 30.0
