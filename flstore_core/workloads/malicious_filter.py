"""Which updates of a round look malicious, and why: multi-Krum and robust z-scores on length and alignment.

Krum's distances are those of Blanchard et al. 2017 (NeurIPS); a client is accused past a threshold in robust standard
deviations, never because somebody has to be. What the thresholds rest on is measured in tests/workloads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from flstore_core.errors import InvalidParameters, unknown
from flstore_core.ids import ClientId
from flstore_core.patterns import Pattern
from flstore_core.statistics import RoundStatistics
from flstore_core.workloads.base import Context, Needs, Partial, Result, RoundData, RoundIndex, RoundParams
from flstore_core.workloads.geometry import Float64
from flstore_core.workloads.krum import krum_scores, tolerated
from flstore_core.workloads.select import one_round
from flstore_core.workloads.suspicion import Evidence, Thresholds, gather
from flstore_core.workloads.trust import fltrust, foolsgold

LEAST = 4


@dataclass(frozen=True)
class FilterParams(RoundParams):
    """How far an update may stand out before its client is accused."""

    method: Literal["robust", "foolsgold", "fltrust"] = "robust"
    """`robust`: Krum distance and robust scores of length and alignment. `foolsgold`: clients that resemble each other
    too much, as sybils do; honest clients with like data do too. `fltrust`: clients that go against `root`."""
    least_trust: Annotated[float, Ge(0), Le(1)] = 0.05
    """Trust below which `foolsgold` and `fltrust` accuse a client."""
    history: Annotated[int, Ge(1), Le(1000)] = 1
    """Committed rounds, the one asked about included, over which `foolsgold` adds up clients' similarity. Two updates
    are compared within a round only, so clients that never met count as not alike."""
    root: str | None = None
    """The client whose update the server trained itself on clean data; needed by `fltrust`."""
    alignment_threshold: Annotated[float, Gt(0), Le(1e6)] = 3.5
    """Robust standard deviations below the usual alignment with the others, for an update that points away."""
    norm_threshold: Annotated[float, Gt(0), Le(1e6)] = 4.0
    """Robust standard deviations above the usual length."""
    krum_threshold: Annotated[float, Gt(0), Le(1e6)] = 4.0
    """Robust standard deviations of Krum distance and missing alignment together, for an update not aligned with the
    others."""
    least_norm: Annotated[float, Ge(0), Lt(1)] = 0.01
    """Share of the usual length below which an update contributes nothing and its client rides free; 0 allows it."""
    byzantine: Annotated[float, Ge(0), Lt(0.5)] = 0.3
    """Share of a round's clients that Krum is to withstand."""

    def __post_init__(self) -> None:
        if (self.method == "fltrust") != (self.root is not None):
            raise InvalidParameters("root names the update that fltrust compares with: give it with that method alone")


@dataclass(frozen=True)
class Verdict(Result):
    """What is held for and against one client."""

    client: str
    """The client."""
    malicious: bool
    """Whether it is accused."""
    reasons: list[str]
    """Why, in words; empty for a client that is not accused."""
    norm: float
    """Length of its delta."""
    norm_score: float
    """Robust standard deviations of its logarithm from the usual one."""
    alignment: float
    """Cosine similarity with the robust direction of the others."""
    alignment_score: float
    """Robust standard deviations of the alignment from the usual one; negative if lower."""
    krum: float
    """Krum score: sum of the squared distances to its nearest neighbours."""
    krum_score: float
    """Robust standard deviations of its logarithm, halved, from the usual one."""
    trust: float | None = None
    """What `foolsgold` or `fltrust` trust it, 0 to 1; null for the method `robust`."""


@dataclass(frozen=True)
class Suspects(Result):
    """Who looks malicious in a round."""

    round: int
    """The round answered for."""
    malicious: list[str]
    """The accused clients; empty when nobody stands out."""
    verdicts: list[Verdict]
    """All clients looked at."""
    multi_krum: list[str]
    """The clients that multi-Krum alone would keep: always n - f, whether or not anybody is malicious."""


class MaliciousFilter:
    """Which clients' updates of a round look malicious, and why; nobody when nobody does."""

    name = "malicious-filter"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Blanchard et al. 2017, NeurIPS; Fung et al. 2018, arXiv:1808.04866; Cao et al. 2021, arXiv:2012.13995"
    params = FilterParams
    result = Suspects

    def select(self, params: FilterParams, index: RoundIndex) -> Sequence[int]:
        (asked,) = one_round(params, index)
        until = [*(number for number in index.committed if number < asked), asked]
        return until[-params.history :]

    def combine(self, partials: Sequence[Partial], context: Context, params: FilterParams) -> Suspects:
        data = context.rounds[-1]
        deltas = data.deltas(params.clients, LEAST)
        verdicts = judge(deltas.members, deltas.gram, params)
        if params.method != "robust":
            trust = _trust(context.rounds, deltas, params)
            verdicts = [_by_trust(*pair, params) for pair in zip(verdicts, trust.tolist(), strict=True)]
        kept = np.argsort([verdict.krum for verdict in verdicts], kind="stable")
        kept = kept[: len(verdicts) - tolerated(len(verdicts), params.byzantine)]
        return Suspects(
            round=data.record.number,
            malicious=[verdict.client for verdict in verdicts if verdict.malicious],
            verdicts=verdicts,
            multi_krum=[deltas.members[row] for row in sorted(kept.tolist())],
        )


def judge(clients: Sequence[str], gram: Float64, params: FilterParams) -> list[Verdict]:
    """Return a verdict on each client, from the Gram matrix of their deltas, shape (n, n)."""
    krum = krum_scores(gram, tolerated(len(clients), params.byzantine))
    evidence = gather(gram, krum)
    limits = Thresholds(params.alignment_threshold, params.norm_threshold, params.krum_threshold, params.least_norm)
    return [_verdict(client, evidence, row, limits) for row, client in enumerate(clients)]


def _verdict(client: str, evidence: Evidence, row: int, limits: Thresholds) -> Verdict:
    reasons = evidence.reasons(row, limits)
    return Verdict(
        client=client,
        malicious=bool(reasons),
        reasons=reasons,
        norm=float(evidence.norm[row]),
        norm_score=float(evidence.norm_score[row]),
        alignment=float(evidence.alignment[row]),
        alignment_score=float(evidence.alignment_score[row]),
        krum=float(evidence.krum[row]),
        krum_score=float(evidence.krum_score[row]),
    )


def _trust(rounds: Sequence[RoundData], deltas: RoundStatistics, params: FilterParams) -> Float64:
    if params.method == "foolsgold":
        return foolsgold(summed_gram([data.deltas() for data in rounds], deltas.members))
    if params.root not in deltas.members:
        raise unknown(f"root in round {rounds[-1].record.number}", str(params.root), deltas.members)
    return fltrust(deltas.gram, [str(member) for member in deltas.members].index(str(params.root)))


def summed_gram(rounds: Sequence[RoundStatistics], clients: Sequence[ClientId]) -> Float64:
    """Return the inner products of `clients`, shape (n, n), added up over the rounds that both of a pair were in."""
    total = np.zeros((len(clients), len(clients)))
    for statistics in rounds:
        present = [row for row, client in enumerate(clients) if client in statistics.members]
        total[np.ix_(present, present)] += statistics.take([clients[row] for row in present]).gram
    return total


def _by_trust(verdict: Verdict, trust: float, params: FilterParams) -> Verdict:
    """Return the verdict with `trust` as the one thing that accuses."""
    accused = trust < params.least_trust and verdict.client != params.root
    alike = "resembles another client too much" if params.method == "foolsgold" else "goes against the root update"
    return replace(verdict, malicious=accused, trust=trust, reasons=[f"{alike}: trust {trust:.2f}"] if accused else [])
