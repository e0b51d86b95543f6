"""Which clients' updates of a round look malicious, and why; nobody if none stands out.

Four methods, all from the inner products of updates:

- `robust`: length, Krum distance (Blanchard et al. 2017) and resemblance to others within the round, each against a
  threshold in robust standard deviations, and opposition to others over many rounds (Javanmard et al. 2016). The
  evidence and an example are in `methods.evidence`.
- `foolsgold`: clients whose updates, summed over rounds, resemble each other too much (Fung et al. 2018).
- `fltrust`: clients whose update points away from one that the server trained itself (Cao et al. 2021).
- `flame`: clients outside the majority that density clustering finds (Nguyen et al. 2022).

A client is accused for what it sent, never because a fixed share must be. `multi_krum` in the answer does drop a
fixed share. `tests/truth` measures what the methods find in real trainings; `docs/workloads.md` has the results.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from flstore_core.errors import InvalidParameters, unknown
from flstore_core.ids import ClientId
from flstore_core.statistics import RoundStatistics
from flstore_core.workloads import (
    Context,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    RoundParams,
    one_round,
)
from flstore_core.workloads.methods.evidence import BYZANTINE, LEAST_UPDATES, Evidence, Thresholds, gather
from flstore_core.workloads.methods.flame import clip_factors, majority
from flstore_core.workloads.methods.fltrust import fltrust
from flstore_core.workloads.methods.foolsgold import foolsgold
from flstore_core.workloads.methods.geometry import RESOLUTION, Float64
from flstore_core.workloads.methods.krum import tolerated
from flstore_core.workloads.methods.z2_synchronization import opposition


@dataclass(frozen=True)
class MaliciousFilterParams(RoundParams):
    """Which method judges, over which rounds, and how far an update may stand out before its client is accused."""

    method: Literal["robust", "foolsgold", "fltrust", "flame"] = "robust"
    """`robust`: accuses by opposition to others over rounds, by length, by Krum distance and by resemblance.
    `foolsgold`: accuses clients that resemble each other too much, as sybils do, and as honest clients with the same
    data do too. `fltrust`: accuses clients whose update points away from that of `root`. `flame`: accuses clients
    outside the majority that density clustering by direction finds."""
    least_trust: Annotated[float, Ge(0), Le(1)] = 0.05
    """Trust, 0 to 1, below which `foolsgold` and `fltrust` accuse a client."""
    flame_margin: Annotated[float, Ge(1), Le(100)] = 1.5
    """`flame` accuses a client whose distance from the majority is more than this many times the widest gap within the
    majority. 1 is the paper's rule, which nearly always accuses somebody."""
    history: Annotated[int, Ge(1), Le(1000)] = 20
    """Number of committed rounds up to and including the one asked about, over which `robust` sums opposition and
    `foolsgold` sums updates. Updates are compared within a round only: clients that never shared one count as
    dissimilar."""
    hindsight: Annotated[int, Ge(0), Le(1000)] = 20
    """Number of committed rounds after the one asked about that are summed as well; 0 judges by what was known at the
    time."""
    root: str | None = None
    """The client whose update the server trained itself, on clean data; required by `fltrust`, and by it alone."""
    opposition_threshold: Annotated[float, Gt(0), Le(1e6)] = Thresholds.opposition
    """`robust` accuses above these log odds that a client sends the opposite of what it learned."""
    alignment_threshold: Annotated[float, Gt(0), Le(1e6)] = Thresholds.alignment
    """`robust` accuses an update whose alignment with the others is this many robust standard deviations below the
    usual one, if no aligned update goes the same way and no round speaks for its client."""
    norm_threshold: Annotated[float, Gt(0), Le(1e6)] = Thresholds.norm
    """`robust` accuses an update whose length is this many robust standard deviations above the usual one."""
    krum_threshold: Annotated[float, Gt(0), Le(1e6)] = Thresholds.krum
    """`robust` accuses an update that is long, not aligned, and whose Krum distance is this many robust standard
    deviations above the usual one. If no round speaks for the client, missing alignment is added to the distance."""
    least_resemblance: Annotated[float, Ge(0), Le(1)] = Thresholds.least_resemblance
    """`robust` accuses an update that is not aligned and whose similarity with the others, of either sign, is below
    this share of the usual one, if no round speaks for its client; 0 accuses none for that."""
    least_norm: Annotated[float, Ge(0), Lt(1)] = Thresholds.least_norm
    """`robust` accuses an update whose length is below this share of the median length, as a free rider; 0 accuses none
    for that."""
    byzantine: Annotated[float, Ge(0), Lt(0.5)] = BYZANTINE
    """Share of a round's clients that Krum must withstand."""

    def __post_init__(self) -> None:
        if self.method == "fltrust" and self.root is None:
            raise InvalidParameters("method 'fltrust' needs root: name the client whose update the server trained")
        if self.method != "fltrust" and self.root is not None:
            raise InvalidParameters(f"root is for method 'fltrust' alone; leave it out with {self.method!r}")


@dataclass(frozen=True)
class Verdict(Result):
    """The evidence on one client, and whether it is accused."""

    client: str
    """Name of the client."""
    malicious: bool
    """Whether the client is accused."""
    reasons: list[str]
    """The reasons in words; empty if the client is not accused."""
    norm: float
    """Euclidean length of its delta."""
    norm_score: float
    """Robust standard deviations of the logarithm of its length above the usual one; negative if below."""
    alignment: float
    """Cosine similarity of its delta with the robust direction of the others', -1 to 1."""
    alignment_score: float
    """Robust standard deviations of its alignment above the usual one; negative if below."""
    krum: float
    """Krum score: sum of the squared distances to its nearest neighbours."""
    krum_score: float
    """Robust standard deviations of the logarithm of its Krum distance (the root of the Krum score) above the usual
    one; negative if below."""
    opposition: float
    """Log odds that it sends the opposite of what it learned, by the rounds in `looked_at`; negative for a client that
    agrees with the majority."""
    resemblance: float
    """Root mean square of its cosine similarities with the others, as a share of the usual one; near 0 for noise."""
    trust: float | None = None
    """Trust of `foolsgold` or `fltrust`, 0 to 1. For `flame`, the factor by which the paper clips the delta, and 0 for
    an accused client. Null for `robust`."""


@dataclass(frozen=True)
class MaliciousFilterResult(Result):
    """Which clients of a round look malicious."""

    round: int
    """The round that was judged."""
    looked_at: list[int]
    """The rounds whose updates were used as evidence."""
    malicious: list[str]
    """Names of the accused clients; empty if none stands out."""
    verdicts: list[Verdict]
    """One verdict for each client of the round, or each of `clients`."""
    multi_krum: list[str]
    """The n - f clients that multi-Krum would keep, where f is the share `byzantine` of the n clients. They are always
    that many, whether or not anybody is malicious."""


class MaliciousFilter:
    """Which clients' updates of a round look malicious, and why; nobody if none stands out."""

    name = "malicious-filter"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = (
        "Blanchard et al. 2017, NeurIPS; Javanmard et al. 2016, PNAS 113:16; Fung et al. 2018, arXiv:1808.04866; "
        "Cao et al. 2021, arXiv:2012.13995; Nguyen et al. 2022, FLAME, USENIX Security"
    )
    params = MaliciousFilterParams
    result = MaliciousFilterResult

    def select(self, params: MaliciousFilterParams, index: RoundIndex) -> Sequence[int]:
        (judged,) = one_round(params, index)
        if params.method not in _OVER_ROUNDS:
            return (judged,)
        up_to = [*(number for number in index.committed if number < judged), judged]
        after = [number for number in index.committed if number > judged]
        return [*up_to[-params.history :], *after[: params.hindsight]]

    def combine(
        self, partials: Sequence[Partial], context: Context, params: MaliciousFilterParams
    ) -> MaliciousFilterResult:
        data = _judged_round(context.rounds, params)
        deltas = data.deltas(params.clients, LEAST_UPDATES)
        others = [other.deltas() for other in context.rounds if other is not data and other.record.members]
        evidence = gather(deltas.gram, opposed(deltas, others), params.byzantine)
        verdicts = _verdicts(evidence, deltas, others, params)
        return MaliciousFilterResult(
            round=data.record.number,
            looked_at=[entry.record.number for entry in context.rounds],
            malicious=[verdict.client for verdict in verdicts if verdict.malicious],
            verdicts=verdicts,
            multi_krum=_multi_krum(evidence.krum, deltas.members, params.byzantine),
        )


_OVER_ROUNDS = ("robust", "foolsgold")
"""Methods that use more rounds than the one they judge."""


def opposed(deltas: RoundStatistics, others: Sequence[RoundStatistics]) -> Float64:
    """Return the opposition of each client of a round, shape (n,), by the deltas of that round and of others."""
    rounds = [deltas, *others]
    clients = dict.fromkeys(client for statistics in rounds for client in statistics.members)
    numbers = {client: number for number, client in enumerate(clients)}
    numbered = [
        (np.array([numbers[client] for client in statistics.members]), statistics.gram) for statistics in rounds
    ]
    return opposition(numbered, len(numbers))[: len(deltas.members)]


def summed_gram(rounds: Sequence[RoundStatistics], clients: Sequence[ClientId]) -> Float64:
    """Return the inner products of `clients`, shape (n, n), summed over the rounds that both of a pair took part in."""
    total = np.zeros((len(clients), len(clients)))
    for statistics in rounds:
        present = [row for row, client in enumerate(clients) if client in statistics.members]
        total[np.ix_(present, present)] += statistics.take([clients[row] for row in present]).gram
    return total


def _judged_round(rounds: Sequence[RoundData], params: MaliciousFilterParams) -> RoundData:
    """Return the round asked about; rounds of hindsight may come after it."""
    return next((data for data in rounds if data.record.number == params.round), rounds[-1])


def _verdicts(
    evidence: Evidence, deltas: RoundStatistics, others: Sequence[RoundStatistics], params: MaliciousFilterParams
) -> list[Verdict]:
    limits = _thresholds(params)
    verdicts = [
        _verdict(client, evidence, row, evidence.reasons(row, limits)) for row, client in enumerate(deltas.members)
    ]
    if params.method == "robust":
        return verdicts
    trust, reasons = _TRUST[params.method](deltas, others, params)
    return [
        replace(verdict, malicious=reason is not None, trust=trusted, reasons=[reason] if reason else [])
        for verdict, trusted, reason in zip(verdicts, trust.tolist(), reasons, strict=True)
    ]


def _thresholds(params: MaliciousFilterParams) -> Thresholds:
    return Thresholds(
        opposition=params.opposition_threshold,
        alignment=params.alignment_threshold,
        norm=params.norm_threshold,
        krum=params.krum_threshold,
        least_norm=params.least_norm,
        least_resemblance=params.least_resemblance,
    )


def _verdict(client: str, evidence: Evidence, row: int, reasons: list[str]) -> Verdict:
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
        opposition=float(evidence.opposition[row]),
        resemblance=float(evidence.resemblance[row]),
    )


def _multi_krum(scores: Float64, clients: Sequence[str], byzantine: float) -> list[str]:
    kept = np.argsort(scores, kind="stable")[: len(clients) - tolerated(len(clients), byzantine)]
    return [clients[row] for row in sorted(kept.tolist())]


Trust = tuple[Float64, Sequence[str | None]]
"""How far a method trusts each client, shape (n,), 0 to 1; and why it accuses each, None where it does not."""


def _flame(deltas: RoundStatistics, others: Sequence[RoundStatistics], params: MaliciousFilterParams) -> Trust:
    cohort = majority(deltas.gram)
    outside = cohort.gap > params.flame_margin * max(cohort.widest, RESOLUTION)
    reasons = [
        f"is {gap:.2f} from the majority, whose widest gap is {cohort.widest:.2f}" if accused else None
        for gap, accused in zip(cohort.gap.tolist(), outside.tolist(), strict=True)
    ]
    return np.where(outside, 0.0, clip_factors(deltas.gram)), reasons


def _foolsgold(deltas: RoundStatistics, others: Sequence[RoundStatistics], params: MaliciousFilterParams) -> Trust:
    trust = foolsgold(summed_gram([deltas, *others], deltas.members))
    return trust, _distrusted(trust, params.least_trust, "resembles another client too much")


def _fltrust(deltas: RoundStatistics, others: Sequence[RoundStatistics], params: MaliciousFilterParams) -> Trust:
    root = ClientId(str(params.root))
    if root not in deltas.members:
        raise unknown("among the judged clients, root", root, deltas.members)
    trust = fltrust(deltas.gram, deltas.members.index(root))
    reasons = _distrusted(trust, params.least_trust, "points away from the update of the root")
    return trust, [None if client == root else reason for client, reason in zip(deltas.members, reasons, strict=True)]


_TRUST = {"flame": _flame, "foolsgold": _foolsgold, "fltrust": _fltrust}


def _distrusted(trust: Float64, least: float, reason: str) -> Sequence[str | None]:
    return [f"{reason}: trust {value:.2f}" if value < least else None for value in trust.tolist()]
