"""Metadata has a share of the budget for as long as it is requested."""

import pytest

from flstore_core.ids import METADATA
from flstore_core.policies.base import Key
from flstore_core.policies.tailored.metadata import IDLE_REQUESTS, Metadata
from tests.policies.tailored.parts import JOB


def key(number: int) -> Key:
    return Key(JOB, number, METADATA)


def of_rounds(count: int, budget: int = 80) -> Metadata:
    """Return the metadata of `count` rounds, one byte each, in a cache of `budget` bytes."""
    metadata = Metadata(budget)
    for number in range(count):
        metadata.put(key(number), 1)
    return metadata


def ask_otherwise(metadata: Metadata, times: int) -> None:
    for _ in range(times):
        metadata.observe_other_request()


def test_the_example_in_the_module() -> None:
    metadata = of_rounds(12)
    assert metadata.surplus() == 2
    assert metadata.evict(10, pinned=()) == (({key(0): 1, key(1): 1}, "old-metadata"),)
    assert metadata.bytes == 10
    ask_otherwise(metadata, 401)
    assert metadata.surplus() == 10
    assert metadata.evict(4, pinned=()) == (({key(number): 1 for number in (2, 3, 4, 5)}, "old-metadata"),)


@pytest.mark.parametrize(("others", "wanted"), [(0, True), (IDLE_REQUESTS, True), (IDLE_REQUESTS + 1, False)])
def test_it_is_wanted_until_it_was_idle_for_too_many_requests(others: int, wanted: bool) -> None:
    metadata = of_rounds(1)
    ask_otherwise(metadata, others)
    assert metadata.is_wanted() is wanted


def test_one_request_for_it_is_enough_to_be_wanted_again() -> None:
    metadata = of_rounds(5)
    ask_otherwise(metadata, 1000)
    assert metadata.surplus() == 5
    metadata.observe_request()
    assert (metadata.is_wanted(), metadata.surplus()) == (True, 0)


def test_within_the_share_nothing_leaves() -> None:
    assert of_rounds(10).evict(99, pinned=()) == ()


def test_pinned_and_discarded_metadata_is_not_evicted() -> None:
    metadata = of_rounds(12)
    metadata.drop(key(1))
    assert metadata.bytes == 11
    assert metadata.evict(1, pinned={key(0)}) == (({key(2): 1}, "old-metadata"),)
