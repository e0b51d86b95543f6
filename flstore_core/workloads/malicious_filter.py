"""Which updates of a round look malicious, and why: multi-Krum and robust z-scores on length and alignment.

Krum's distances are those of Blanchard et al. 2017 (NeurIPS); a client is accused past a threshold in robust standard
deviations, never because somebody has to be. What the thresholds rest on is measured in tests/workloads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from flstore_core.patterns import Pattern
from flstore_core.workloads.base import Context, Needs, Partial, Result, RoundIndex, RoundParams
from flstore_core.workloads.geometry import Float64
from flstore_core.workloads.krum import krum_scores, tolerated
from flstore_core.workloads.select import one_round
from flstore_core.workloads.suspicion import Evidence, Thresholds, gather

LEAST = 4


@dataclass(frozen=True)
class FilterParams(RoundParams):
    """How far an update may stand out before its client is accused."""

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
    source = "Blanchard et al. 2017, Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, NeurIPS"
    params = FilterParams
    result = Suspects

    def select(self, params: FilterParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: FilterParams) -> Suspects:
        data = context.round
        deltas = data.deltas(params.clients, LEAST)
        verdicts = judge(deltas.members, deltas.gram, params)
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
