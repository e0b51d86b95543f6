"""Counters add up, and rates are shares of what was requested."""

from dataclasses import astuple, fields

from hypothesis import given
from hypothesis import strategies as st

from flstore_core.cache.tally import Tally

tallies = st.builds(Tally, *[st.integers(0, 1000)] * len(fields(Tally)))


@given(tallies, tallies)
def test_every_counter_is_added(one: Tally, other: Tally) -> None:
    assert astuple(one + other) == tuple(a + b for a, b in zip(astuple(one), astuple(other), strict=True))
    assert one + Tally() == one


def test_rates_are_hits_over_all() -> None:
    figures = Tally(requests=4, hits=1, keys=10, key_hits=5, bytes_hit=30, bytes_missed=10).to_json()
    assert (figures["hit_rate"], figures["key_hit_rate"], figures["byte_hit_rate"]) == (0.25, 0.5, 0.75)


def test_the_rate_of_nothing_is_zero() -> None:
    figures = Tally().to_json()
    assert [figures[name] for name in ("hit_rate", "key_hit_rate", "byte_hit_rate")] == [0.0, 0.0, 0.0]


@given(tallies)
def test_the_json_has_every_counter_and_three_rates(tally: Tally) -> None:
    assert tally.to_json().keys() == {field.name for field in fields(Tally)} | {
        "hit_rate",
        "key_hit_rate",
        "byte_hit_rate",
    }
