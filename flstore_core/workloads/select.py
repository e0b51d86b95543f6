"""The usual choices of the rounds a workload reads, one for each access pattern."""

from collections.abc import Sequence

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads.params import ClientParams, RangeParams, RoundParams
from flstore_core.workloads.views import RoundIndex


def one_round(params: RoundParams, index: RoundIndex) -> tuple[int]:
    """Return the round that the parameters name, or the newest committed one.

    Raises:
        NotFound: if the named round has no updates.
        NotEnoughData: if none is named and none is committed.
    """
    if params.round is None:
        return (newest(index),)
    if params.round not in index.committed and params.round not in index.open:
        raise NotFound(f"round {params.round} has no updates; {_committed_rounds(index)}")
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
    """Return the committed rounds within [first, last], ascending.

    Raises:
        NotEnoughData: if there are none.
        InvalidParameters: if `first` is after `last`.
    """
    newest(index)
    first = index.committed[0] if params.first is None else params.first
    last = index.committed[-1] if params.last is None else params.last
    if first > last:
        raise InvalidParameters(f"first ({first}) is after last ({last})")
    numbers = [number for number in index.committed if first <= number <= last]
    if not numbers:
        raise NotEnoughData(f"no committed round lies within {first} to {last}; {_committed_rounds(index)}")
    return numbers


def _committed_rounds(index: RoundIndex) -> str:
    if not index.committed:
        return "no round is committed yet"
    return f"committed rounds run from {index.committed[0]} to {index.committed[-1]}"
