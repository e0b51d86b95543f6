"""The usual ways to choose the rounds a workload reads, one per access pattern."""

from collections.abc import Sequence

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads.params import ClientParams, RangeParams, RoundParams
from flstore_core.workloads.views import RoundIndex


def one_round(params: RoundParams, index: RoundIndex) -> tuple[int]:
    """Return the round named, or the newest committed one.

    Raises:
        NotFound: if the round does not exist, or none is committed yet.
    """
    if params.round is None:
        return (newest(index),)
    if params.round not in index.committed and params.round not in index.open:
        raise NotFound(f"round {params.round} has no updates; {_what_there_is(index)}")
    return (params.round,)


def newest(index: RoundIndex) -> int:
    """Return the newest committed round; raise `NotEnoughData` if there is none."""
    if not index.committed:
        raise NotEnoughData("no round is committed yet; commit one, or name an open round")
    return index.committed[-1]


def client_history(params: ClientParams, index: RoundIndex) -> Sequence[int]:
    """Return the client's last participations, ascending; raise `NotFound` for a client never seen."""
    return index.rounds_of(params.client)[-params.last :]


def round_range(params: RangeParams, index: RoundIndex) -> Sequence[int]:
    """Return the committed rounds within [first, last]; raise `NotEnoughData` if there are none."""
    newest(index)
    first = index.committed[0] if params.first is None else params.first
    last = index.committed[-1] if params.last is None else params.last
    if first > last:
        raise InvalidParameters(f"first ({first}) is after last ({last})")
    chosen = [number for number in index.committed if first <= number <= last]
    if not chosen:
        raise NotEnoughData(f"no committed round lies within {first} to {last}; {_what_there_is(index)}")
    return chosen


def _what_there_is(index: RoundIndex) -> str:
    if not index.committed:
        return "no round is committed yet"
    return f"committed rounds run from {index.committed[0]} to {index.committed[-1]}"
