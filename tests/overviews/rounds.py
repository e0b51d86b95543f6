"""Rounds of a few clients whose metrics are chosen."""

from collections.abc import Mapping
from typing import Any

from flstore_core.ids import ClientId
from flstore_core.overviews import RoundNumbers
from flstore_core.records import Member, Round


def committed(number: int, clients: Mapping[str, Mapping[str, Any]], **metrics: Any) -> Round:
    """Return the record of a round committed with `metrics`, whose clients sent the metrics they are given with."""
    members = tuple(Member(ClientId(name), "00", 8, 8, sent) for name, sent in clients.items())
    return Round(number, None, members, metrics=metrics, committed_at=100.0 + number)


def numbers(number: int, clients: Mapping[str, Mapping[str, Any]], **metrics: Any) -> RoundNumbers:
    return RoundNumbers.of(committed(number, clients, **metrics))


def losses(number: int, **values: float) -> RoundNumbers:
    """Return the numbers of a round in which each client sent its loss alone."""
    return numbers(number, {client: {"loss": loss} for client, loss in values.items()})
