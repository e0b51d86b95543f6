"""The usual choices of rounds, over indexes with gaps, open rounds and no rounds at all."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads import (
    ClientParams,
    RangeParams,
    RoundParams,
    client_history,
    newest,
    one_round,
    round_range,
)
from tests.workloads.rounds import Index

INDEX = Index(committed=[2, 3, 7], open=[9], clients={"a": [2, 7], "b": [3]})
NOTHING = Index(open=[0])

numbers = st.sets(st.integers(0, 30), min_size=1).map(sorted)


@pytest.mark.parametrize(("number", "chosen"), [(None, 7), (2, 2), (9, 9)])
def test_one_round_is_the_one_named_open_or_not_or_the_newest_committed(number: int | None, chosen: int) -> None:
    assert one_round(RoundParams(round=number), INDEX) == (chosen,)


def test_a_round_without_updates_is_refused_with_the_rounds_there_are() -> None:
    with pytest.raises(NotFound, match="round 5 has no updates; committed rounds run from 2 to 7"):
        one_round(RoundParams(round=5), INDEX)
    with pytest.raises(NotFound, match="round 5 has no updates; no round is committed yet"):
        one_round(RoundParams(round=5), NOTHING)


def test_before_the_first_commit_there_is_no_newest_round() -> None:
    for choose in (lambda: newest(NOTHING), lambda: one_round(RoundParams(), NOTHING)):
        with pytest.raises(NotEnoughData, match="no round is committed yet; commit one, or name an open round"):
            choose()


@pytest.mark.parametrize(("last", "chosen"), [(1, [7]), (2, [2, 7]), (10, [2, 7])])
def test_a_clients_history_is_its_last_participations(last: int, chosen: Sequence[int]) -> None:
    assert client_history(ClientParams("a", last=last), INDEX) == chosen


def test_a_client_never_seen_is_refused() -> None:
    with pytest.raises(NotFound):
        client_history(ClientParams("nobody"), INDEX)


@given(numbers, st.one_of(st.none(), st.integers(0, 30)), st.one_of(st.none(), st.integers(0, 30)))
def test_a_range_is_every_committed_round_within_it(committed: list[int], first: int | None, last: int | None) -> None:
    low, high = committed[0] if first is None else first, committed[-1] if last is None else last
    expected = [number for number in committed if low <= number <= high]
    params, index = RangeParams(first, last), Index(committed=committed, open=[31])
    if low > high:
        with pytest.raises(InvalidParameters, match=rf"first \({low}\) is after last \({high}\)"):
            round_range(params, index)
    elif not expected:
        with pytest.raises(NotEnoughData, match=f"no committed round lies within {low} to {high}"):
            round_range(params, index)
    else:
        assert round_range(params, index) == expected


def test_a_range_before_the_first_commit_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="no round is committed yet"):
        round_range(RangeParams(), NOTHING)
