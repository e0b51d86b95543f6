"""What workloads answer about an open round, as factors on clients' weights in the aggregate.

An *adviser* is the name of a workload, or a function of the caller. Each says for some clients what their weight is to
be multiplied by; who is not named keeps the weight. With several advisers, factors are multiplied. `Mode` says what is
done with the factors:

    factors {"c3": 0.4, "c7": 0.0}    exclude    c7 is left out, c3 counts in full
                                      weigh      c7 is left out, c3 counts 0.4 of its weight
                                      observe    both count in full; the advice is stored with the round all the same

If nobody would be left, or an adviser fails or is late, everyone is aggregated, and the round says so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from flstore_core.client import FLStore
from flstore_core.errors import NotFound
from flstore_core.records import Round

ADVICE = "advice"
"""The metric of a round under which its advice is stored; the workload `provenance` answers it."""

LEAST_REPUTATION = 0.4
"""Reputation below which a client is left out: less than one accusation without a good round before it."""

UNKNOWN = 0.5
"""Reputation of a client that no committed round has."""


class Mode(StrEnum):
    """What is done with advice."""

    EXCLUDE = "exclude"
    """Clients with the factor 0 are left out; the others count in full."""
    WEIGH = "weigh"
    """Weights are multiplied by the factors."""
    OBSERVE = "observe"
    """Nothing: the advice is stored, and everyone counts."""


@dataclass(frozen=True)
class Opinion:
    """What one adviser says."""

    factors: Mapping[str, float]
    """By client, from 0; a client that is not named keeps its weight."""
    reasons: Mapping[str, Sequence[str]] = field(default_factory=dict)


Adviser: TypeAlias = str | Callable[[FLStore, str, Round], "Mapping[str, float] | Iterable[str] | Opinion"]
"""The name of a workload; or a function of the store, the job and the open round, which returns factors by client, or
the clients to leave out."""


@dataclass(frozen=True)
class Advice:
    """What was advised on a round, and what is to be done."""

    mode: Mode = Mode.OBSERVE
    advisers: tuple[str, ...] = ()
    advised: Mapping[str, float] = field(default_factory=dict)
    """Factors other than 1, by client."""
    reasons: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Why, in words, by client."""
    problem: str = ""
    """Why everyone is aggregated in spite of it; empty if the advice is followed."""

    @property
    def factors(self) -> Mapping[str, float]:
        """What clients' weights are multiplied by; a client that is not named counts in full."""
        if self.problem or self.mode is Mode.OBSERVE:
            return {}
        if self.mode is Mode.EXCLUDE:
            return {client: 0.0 for client, factor in self.advised.items() if factor == 0.0}
        return self.advised

    def factor(self, client: str) -> float:
        """Return what a client's weight is multiplied by."""
        return self.factors.get(client, 1.0)

    @property
    def excluded(self) -> frozenset[str]:
        """The clients that are left out."""
        return frozenset(client for client, factor in self.factors.items() if factor == 0.0)

    def to_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode.value,
            "advisers": list(self.advisers),
            "advised": dict(self.advised),
            "reasons": {client: list(reasons) for client, reasons in self.reasons.items()},
            "applied": dict(self.factors),
            "problem": self.problem,
        }


def ask(adviser: Adviser, store: FLStore, job: str, number: int) -> Opinion:
    """Have an adviser look at an open round."""
    if not isinstance(adviser, str):
        return _opinion_of(adviser(store, job, store.round(job, number)))
    if adviser == "reputation":
        return _by_reputation(store, job, store.round(job, number))
    answer = store.run(job, adviser, round=number)
    return _READERS.get(adviser, _read)(answer.result.raw)


def combine(mode: Mode, advisers: Sequence[str], opinions: Iterable[Opinion], clients: Iterable[str]) -> Advice:
    """Return the advice that several opinions come to."""
    advised: dict[str, float] = {}
    reasons: dict[str, list[str]] = {}
    for opinion in opinions:
        for client, factor in opinion.factors.items():
            advised[client] = advised.get(client, 1.0) * factor
        for client, words in opinion.reasons.items():
            reasons.setdefault(client, []).extend(words)
    advised = {client: factor for client, factor in advised.items() if factor != 1.0}
    advice = Advice(
        mode, tuple(advisers), advised, {client: reasons[client] for client in advised if client in reasons}
    )
    if advice.excluded >= set(clients):
        return Advice(mode, advice.advisers, advised, advice.reasons, "nobody would be left")
    return advice


def names(advisers: Iterable[Adviser]) -> tuple[str, ...]:
    """Return how advisers are called."""
    return tuple(each if isinstance(each, str) else getattr(each, "__name__", type(each).__name__) for each in advisers)


def _opinion_of(said: "Mapping[str, float] | Iterable[str] | Opinion") -> Opinion:
    if isinstance(said, Opinion):
        return said
    if isinstance(said, Mapping):
        return Opinion({str(client): _checked(client, factor) for client, factor in said.items()})
    return Opinion({str(client): 0.0 for client in said})


def _checked(client: object, factor: Any) -> float:
    number = float(factor)
    if not 0.0 <= number < float("inf"):
        raise ValueError(f"the factor of {client!r} is {factor!r}; use a number from 0")
    return number


def _by_verdicts(result: Mapping[str, Any]) -> Opinion:
    """Read `malicious-filter`: the accused are left out, and trust is a factor where the method says it."""
    verdicts = {row["client"]: row for row in result["verdicts"]}
    factors = {
        client: 0.0 if row["malicious"] else 1.0 if row["trust"] is None else row["trust"]
        for client, row in verdicts.items()
    }
    return Opinion(factors, {client: row["reasons"] for client, row in verdicts.items() if row["reasons"]})


def _by_contribution(result: Mapping[str, Any]) -> Opinion:
    """Read `contribution`: who surely moves the round away from its direction is left out, others count by share."""
    rows = result["contributions"]
    greatest = max((row["value"] for row in rows), default=0.0)
    if greatest <= 0.0:
        return Opinion({})
    factors, reasons = {}, {}
    for row in rows:
        harms = row["value"] + 2 * row["standard_error"] < 0.0
        factors[row["client"]] = 0.0 if harms else max(row["value"], 0.0) / greatest or 1e-6
        if harms:
            reasons[row["client"]] = [f"contributes {row['value']:.2f}"]
    return Opinion(factors, reasons)


def _by_reputation(store: FLStore, job: str, round_: Round) -> Opinion:
    """Ask `reputation` about each client: who has too little is left out, others count by theirs."""
    factors, reasons = {}, {}
    for client in (str(member.client) for member in round_.members):
        try:
            reputation = store.run(job, "reputation", client=client, evidence="filter").result.reputation
        except NotFound:
            reputation = UNKNOWN
        factors[client] = 0.0 if reputation < LEAST_REPUTATION else reputation
        if factors[client] == 0.0:
            reasons[client] = [f"has a reputation of {reputation:.2f}"]
    return Opinion(factors, reasons)


def _read(result: Mapping[str, Any]) -> Opinion:
    """Read any other workload: names in `excluded` or `malicious`, rows with a `client` and a `factor` or `trust`."""
    factors = {client: 0.0 for name in ("malicious", "excluded") for client in result.get(name) or ()}
    for row in _rows(result):
        for name in ("factor", "trust"):
            if isinstance(row.get(name), int | float):
                factors.setdefault(row["client"], _checked(row["client"], row[name]))
    return Opinion(factors)


def _rows(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for value in result.values():
        if isinstance(value, list):
            yield from (row for row in value if isinstance(row, Mapping) and "client" in row)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Opinion]] = {
    "malicious-filter": _by_verdicts,
    "contribution": _by_contribution,
}
