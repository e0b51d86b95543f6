"""What was advised on a round before it was aggregated, as the recorder of a training stores it with the round.

`flstore_core.integrations.recorder` commits a round with the metric `advice`. Whoever commits a round may write
anything there; what does not read as advice is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.ids import ClientId, encode
from flstore_core.records import Round
from flstore_core.workloads.results import Result

METRIC = "advice"


@dataclass(frozen=True)
class Advised(Result):
    """What was advised on one update, and done."""

    client: str
    """The client that sent it."""
    advised: float
    """What its weight was advised to be multiplied by; 0 to leave it out."""
    applied: float
    """What its weight was multiplied by."""
    reasons: list[str]
    """Why, in words."""


@dataclass(frozen=True)
class RoundAdvice(Result):
    """What was advised on a round, and done."""

    mode: str
    """`exclude`, `weigh` or `observe`."""
    advisers: list[str]
    """Who was asked: names of workloads and functions."""
    clients: list[Advised]
    """The clients on whom something was advised."""
    problem: str
    """Why the advice was not followed; empty if it was."""


def advice_on(record: Round) -> RoundAdvice | None:
    """Return what was advised on a round; None if nobody was asked."""
    stored = record.metrics.get(METRIC)
    if not isinstance(stored, Mapping):
        return None
    advised, applied, reasons = (_mapping(stored.get(name)) for name in ("advised", "applied", "reasons"))
    clients = [
        Advised(client, _factor(advised[client]), _factor(applied.get(client, 1.0)), _texts(reasons.get(client)))
        for client in sorted(advised)
    ]
    mode, problem = str(stored.get("mode") or ""), str(stored.get("problem") or "")
    return RoundAdvice(mode, _texts(stored.get("advisers")), clients, problem)


def applied_factors(record: Round) -> Mapping[ClientId, float]:
    """Return what the weights of a round's clients were multiplied by, for those of whom it is known."""
    advice = advice_on(record)
    return {ClientId(encode(row.client)): row.applied for row in advice.clients} if advice else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, Sequence) and not isinstance(value, str) else []


def _factor(value: Any) -> float:
    """Return a factor; 1 for what is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0.0 <= value < float("inf") else 1.0
