"""An upload for a name that is taken: a repetition, which changes nothing, if bytes and metrics are the stored ones."""

from collections.abc import Iterator
from typing import Any

from flstore_core.errors import Conflict
from flstore_core.records import Member, Metrics
from services.gateway.rounds.upload import Upload

_SHOWN = 5
"""Differences that a message names."""


def require_repeat(upload: Upload, metrics: Metrics, stored: Member, advice: str = "") -> None:
    """Raise `Conflict`, naming what differs, unless an upload with these metrics is the stored one.

    Metrics count as much as bytes: whoever forgot them the first time must not learn by silence that they are lost.

    Args:
        advice: ends the message.
    """
    names = list(_differing(metrics, stored.metrics))[:_SHOWN]
    if upload.sha256 != stored.sha256:
        what = "different bytes"
    elif names:
        what = "these bytes with other metrics"
    else:
        return
    shown = "".join(f"; {name} is {_show(metrics, name)}, stored: {_show(stored.metrics, name)}" for name in names)
    raise Conflict(
        f"{upload} already has {what} from {upload.client!r}{shown}{advice}",
        metrics=names,
    )


def differs(upload: Upload, metrics: Metrics, stored: Member) -> bool:
    """Return whether an upload with these metrics is another one than the stored one."""
    return upload.sha256 != stored.sha256 or any(_differing(metrics, stored.metrics))


def _differing(one: Metrics, other: Metrics) -> Iterator[str]:
    """Yield the names of metrics that are not the same in both."""
    for name in sorted({*one, *other}):
        if name not in one or name not in other or not _equal(one[name], other[name]):
            yield name


def _equal(one: Any, other: Any) -> bool:
    """Compare two JSON values. To Python `True` is 1, and to nobody else."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _show(metrics: Metrics, name: str) -> str:
    return f"{metrics[name]!r:.60}" if name in metrics else "none"
