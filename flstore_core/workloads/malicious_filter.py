"""Which updates of a round look malicious, and why: multi-Krum, robust z-scores on length, opposition over rounds.

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
    """How far an update may stand out before its client is accused."""

    method: Literal["robust", "foolsgold", "fltrust", "flame"] = "robust"
    """`robust`: opposition to others over rounds, Krum distance, robust scores of length. `foolsgold`: clients that
    resemble each other too much, as sybils do; honest clients with like data do too. `fltrust`: clients that go against
    `root`. `flame`: clients outside the majority that density clustering by direction finds."""
    least_trust: Annotated[float, Ge(0), Le(1)] = 0.05
    """Trust below which `foolsgold` and `fltrust` accuse a client."""
    flame_margin: Annotated[float, Ge(1), Le(100)] = 1.5
    """How many times farther from the majority than its own widest gap a client must be for `flame` to accuse it; 1 is
    the paper's rule, which nearly always leaves somebody out."""
    history: Annotated[int, Ge(1), Le(1000)] = 20
    """Committed rounds, the one asked about included, over which `robust` adds up who opposes whom and `foolsgold`
    who is like whom. Two updates are compared within a round only, so clients that never met count as not alike."""
    hindsight: Annotated[int, Ge(0), Le(1000)] = 20
    """Committed rounds after the one asked about that add to it as well; 0 judges by what was known at the time."""
    root: str | None = None
    """The client whose update the server trained itself on clean data; needed by `fltrust`."""
    opposition_threshold: Annotated[float, Gt(0), Le(1e6)] = Thresholds.opposition
    """Log odds that a client sends the opposite of what it learned, by the rounds looked at."""
    alignment_threshold: Annotated[float, Gt(0), Le(1e6)] = Thresholds.alignment
    """Robust standard deviations below the usual alignment with the others, for an update that points away from all
    that are aligned, of a client for whom no round speaks."""
    norm_threshold: Annotated[float, Gt(0), Le(1e6)] = Thresholds.norm
    """Robust standard deviations above the usual length."""
    krum_threshold: Annotated[float, Gt(0), Le(1e6)] = Thresholds.krum
    """Robust standard deviations of Krum distance, for an update that is long and not aligned with the others; missing
    alignment counts towards it for a client that no round speaks for."""
    least_resemblance: Annotated[float, Ge(0), Le(1)] = Thresholds.least_resemblance
    """Share of the usual similarity with others, of either sign, below which an update that is not aligned with
    them resembles nobody; 0 allows it."""
    least_norm: Annotated[float, Ge(0), Lt(1)] = Thresholds.least_norm
    """Share of the usual length below which an update contributes nothing and its client rides free; 0 allows it."""
    byzantine: Annotated[float, Ge(0), Lt(0.5)] = BYZANTINE
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
    opposition: float
    """Log odds that it sends the opposite of what it learned, by who opposes whom in the rounds looked at."""
    resemblance: float
    """Root mean square of its cosine similarities with the others, as a share of the usual; near 0 for noise."""
    trust: float | None = None
    """What `foolsgold` or `fltrust` trust it, 0 to 1; of `flame` the factor that it clips the delta by, 0 for the
    accused; null for the method `robust`."""


@dataclass(frozen=True)
class MaliciousFilterResult(Result):
    """Who looks malicious in a round."""

    round: int
    """The round answered for."""
    looked_at: list[int]
    """The rounds that it was judged by."""
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
    source = (
        "Blanchard et al. 2017, NeurIPS; Javanmard et al. 2016, PNAS 113:16; Fung et al. 2018, arXiv:1808.04866; "
        "Cao et al. 2021, arXiv:2012.13995; Nguyen et al. 2022, FLAME, USENIX Security"
    )
    params = MaliciousFilterParams
    result = MaliciousFilterResult

    def select(self, params: MaliciousFilterParams, index: RoundIndex) -> Sequence[int]:
        (asked,) = one_round(params, index)
        if params.method not in _OVER_ROUNDS:
            return (asked,)
        before = [*(number for number in index.committed if number < asked), asked]
        after = [number for number in index.committed if number > asked]
        return [*before[-params.history :], *after[: params.hindsight]]

    def combine(
        self, partials: Sequence[Partial], context: Context, params: MaliciousFilterParams
    ) -> MaliciousFilterResult:
        data = _asked(context.rounds, params)
        deltas = data.deltas(params.clients, LEAST_UPDATES)
        others = [each.deltas() for each in context.rounds if each is not data and each.record.members]
        verdicts = judge(deltas, others, params)
        if params.method != "robust":
            trust, reasons = _trust(deltas, others, data.record.number, params)
            verdicts = [_by_trust(*each) for each in zip(verdicts, trust.tolist(), reasons, strict=True)]
        kept = np.argsort([verdict.krum for verdict in verdicts], kind="stable")
        kept = kept[: len(verdicts) - tolerated(len(verdicts), params.byzantine)]
        return MaliciousFilterResult(
            round=data.record.number,
            looked_at=[each.record.number for each in context.rounds],
            malicious=[verdict.client for verdict in verdicts if verdict.malicious],
            verdicts=verdicts,
            multi_krum=[deltas.members[row] for row in sorted(kept.tolist())],
        )


def judge(deltas: RoundStatistics, others: Sequence[RoundStatistics], params: MaliciousFilterParams) -> list[Verdict]:
    """Return a verdict on each client of a round, by that round and others."""
    against = opposed(deltas, others)
    evidence, limits = _evidence(deltas.gram, against, params)
    return [_verdict(client, evidence, row, limits) for row, client in enumerate(deltas.members)]


def opposed(deltas: RoundStatistics, others: Sequence[RoundStatistics]) -> Float64:
    """Return the opposition of each client of a round, shape (n,), by that round and others."""
    rounds = [deltas, *others]
    numbers = {
        client: number for number, client in enumerate(dict.fromkeys(c for each in rounds for c in each.members))
    }
    placed = [(np.array([numbers[client] for client in each.members]), each.gram) for each in rounds]
    return opposition(placed, len(numbers))[: len(deltas.members)]


_OVER_ROUNDS = ("robust", "foolsgold")


def _asked(rounds: Sequence[RoundData], params: MaliciousFilterParams) -> RoundData:
    """Return the round asked about, the newest by default."""
    return next((data for data in rounds if data.record.number == params.round), rounds[-1])


def _evidence(gram: Float64, against: Float64, params: MaliciousFilterParams) -> tuple[Evidence, Thresholds]:
    limits = Thresholds(
        params.opposition_threshold,
        params.alignment_threshold,
        params.norm_threshold,
        params.krum_threshold,
        params.least_norm,
        params.least_resemblance,
    )
    return gather(gram, against, params.byzantine), limits


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
        opposition=float(evidence.opposition[row]),
        resemblance=float(evidence.resemblance[row]),
    )


def _trust(
    deltas: RoundStatistics, others: Sequence[RoundStatistics], number: int, params: MaliciousFilterParams
) -> tuple[Float64, Sequence[str | None]]:
    """Return how far the method trusts each client, 0 to 1, and why it accuses one; None where it does not."""
    if params.method == "flame":
        return _flame(deltas.gram, params.flame_margin)
    if params.method == "foolsgold":
        trust = foolsgold(summed_gram([deltas, *others], deltas.members))
        return trust, _distrusted(trust, params.least_trust, "resembles another client too much")
    if params.root not in deltas.members:
        raise unknown(f"root in round {number}", str(params.root), deltas.members)
    trust = fltrust(deltas.gram, [str(member) for member in deltas.members].index(str(params.root)))
    accused = _distrusted(trust, params.least_trust, "goes against the root update")
    return trust, [None if client == params.root else why for client, why in zip(deltas.members, accused, strict=True)]


def _flame(gram: Float64, margin: float) -> tuple[Float64, Sequence[str | None]]:
    found = majority(gram)
    outside = found.gap > margin * max(found.widest, RESOLUTION)
    reasons = [
        f"is {gap:.2f} from the majority, whose widest gap is {found.widest:.2f}" if out else None
        for gap, out in zip(found.gap.tolist(), outside.tolist(), strict=True)
    ]
    return np.where(outside, 0.0, clip_factors(gram)), reasons


def _distrusted(trust: Float64, least: float, why: str) -> Sequence[str | None]:
    return [f"{why}: trust {each:.2f}" if each < least else None for each in trust.tolist()]


def summed_gram(rounds: Sequence[RoundStatistics], clients: Sequence[ClientId]) -> Float64:
    """Return the inner products of `clients`, shape (n, n), added up over the rounds that both of a pair were in."""
    total = np.zeros((len(clients), len(clients)))
    for statistics in rounds:
        present = [row for row, client in enumerate(clients) if client in statistics.members]
        total[np.ix_(present, present)] += statistics.take([clients[row] for row in present]).gram
    return total


def _by_trust(verdict: Verdict, trust: float, reason: str | None) -> Verdict:
    """Return the verdict with `reason` as the one thing that accuses."""
    return replace(verdict, malicious=reason is not None, trust=trust, reasons=[reason] if reason else [])
