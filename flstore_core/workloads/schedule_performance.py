"""The next round's clients by statistical and system utility, with exploration: Oort (Lai et al. 2021, OSDI).

- A client's statistical utility is |B| √(mean of its squared losses): its number of examples times its loss. They are
  scaled to 0…1 over all clients, and a client that was not chosen for long gets a bonus (algorithm 1 of the paper).
- A client whose duration t is longer than the preferred duration T has its utility multiplied by (T / t)^α. At α = 2, a
  client that takes twice as long as preferred counts a quarter.
- A share ε of the places goes to clients that never reported a loss. ε decays by the round.

For reports of loss 2, 1.5 and 0.5 on 10 examples each, the statistical utilities are 20, 15 and 5.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen

from flstore_core.errors import InvalidParameters, unknown
from flstore_core.workloads import (
    Context,
    Needs,
    Partial,
    Pattern,
    RangeParams,
    Result,
    RoundIndex,
    Weighted,
    round_range,
)
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.metric_rows import Row, metric_names, rows_of

_UNCERTAINTY = 0.1
"""Factor of the bonus for clients not chosen lately, under the root: 0.1 × ln R / L, as in the paper."""
_HIGHEST = 0.95
"""Quantile at which statistical utilities are clipped, as in the authors' code."""
_PACE_STEP = 0.05
"""By how much of a quantile the pacer lengthens the preferred duration when utility dwindles."""
_LARGEST = 1e100
"""Losses from this size on count as not reported: their products and sums might not be finite."""


@dataclass(frozen=True)
class SchedulePerformanceParams(RangeParams):
    """How many clients are chosen, among which, and how their utility is computed."""

    count: Annotated[int, Ge(1), Le(10_000)] = 10
    """Number of clients to choose for the next round."""
    candidates: Annotated[list[str], MinLen(1)] | None = None
    """Clients that can be chosen, which may include new ones; by default all that took part in the range of rounds."""
    loss: str = "loss"
    """Name of the metric with a client's training loss: the root mean square over its examples, or their mean."""
    duration: str = "duration_s"
    """Name of the metric with a client's duration in a round, in seconds."""
    preferred_duration_s: Annotated[float, Gt(0)] | None = None
    """Preferred duration T of a round, in seconds. By default Oort's pacer sets it: a quantile of the clients' newest
    durations."""
    pace: Annotated[float, Gt(0), Le(1)] = 0.3
    """The quantile at which the pacer starts."""
    window: Annotated[int, Ge(1), Le(10_000)] = 20
    """Number of rounds over which the pacer sums utility. Each window with less utility than the one before raises the
    quantile by 0.05."""
    penalty: Annotated[float, Ge(0), Le(10)] = 2.0
    """Exponent α of the factor (T / t)^α for clients slower than T; 0 ignores speed."""
    exploration: Annotated[float, Ge(0), Le(1)] = 0.9
    """Share ε of places for clients that never reported a loss, before the first round."""
    exploration_decay: Annotated[float, Gt(0), Le(1)] = 0.98
    """Factor by which ε shrinks with each round of the range."""
    least_exploration: Annotated[float, Ge(0), Le(1)] = 0.2
    """Value below which ε does not shrink."""
    cutoff: Annotated[float, Gt(0), Le(1)] = 0.95
    """Clients are drawn among those whose utility is at least this share of that of the last client who would be chosen
    by rank."""
    most_participations: Annotated[int, Ge(1)] | None = None
    """Clients with more participations than this in the range are not chosen; unlimited by default. The paper uses
    10."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the random draws; the same seed gives the same answer."""


@dataclass(frozen=True)
class Candidate(Result):
    """One client that could be chosen."""

    client: str
    """Name of the client."""
    statistical: float
    """Statistical utility: its newest loss times its number of examples; 0 if it never reported a loss."""
    duration_s: float | None
    """Its newest duration, in seconds; null if it reported none."""
    system: float
    """Factor for its speed, 0 to 1."""
    utility: float
    """Statistical utility scaled to 0…1, plus a bonus if it was not chosen lately, times `system`."""
    last_round: int | None
    """The newest round in which it reported a loss; null if it never did."""


@dataclass(frozen=True)
class Choice(Result):
    """One chosen client."""

    client: str
    """Name of the client."""
    why: Literal["exploit", "explore"]
    """`exploit`: for its utility; `explore`: because it never reported a loss."""


@dataclass(frozen=True)
class SchedulePerformanceResult(Weighted):
    """The clients that should take part in the next round."""

    rounds: list[int]
    """The rounds that were read."""
    chosen: list[Choice]
    """The chosen clients; fewer than `count` if there are no more."""
    exploration: float
    """Share ε of places for exploration, 0 to 1."""
    preferred_duration_s: float | None
    """Preferred duration T, in seconds; null if no client reported a duration."""
    candidates: list[Candidate]
    """All clients that could be chosen, the greatest utility first."""


@dataclass(frozen=True)
class _Report:
    """What a client reported in a round, with its statistical utility."""

    client: str
    round: int
    place: int
    """Place of the round in the range, from 1."""
    utility: float | None
    """None where the loss is missing, negative or too large."""
    counts_once: bool
    """Whether the utility is of one example because the client gave no weight."""
    duration: float | None
    """In seconds; None where it is missing or not positive."""


class SchedulePerformance:
    """The next round's clients: those with the greatest loss and speed, and some that were never seen."""

    name = "schedule-performance"
    pattern = Pattern.P4
    needs = Needs.METADATA
    source = "Lai et al. 2021, Oort: Efficient Federated Learning via Guided Participant Selection, OSDI"
    params = SchedulePerformanceParams
    result = SchedulePerformanceResult

    def select(self, params: SchedulePerformanceParams, index: RoundIndex) -> Sequence[int]:
        return round_range(params, index)

    def combine(
        self, partials: Sequence[Partial], context: Context, params: SchedulePerformanceParams
    ) -> SchedulePerformanceResult:
        rows = rows_of(data.record for data in context.rounds)
        numbers = [data.record.number for data in context.rounds]
        reports = _reports(rows, numbers, params)
        newest = {report.client: report for report in reports if report.utility is not None}
        if not newest and params.candidates is None:
            raise unknown("numeric metric", params.loss, metric_names(rows))
        preferred = params.preferred_duration_s or _paced(reports, len(numbers), params)
        candidates = _candidates(_eligible(rows, params), newest, preferred, len(numbers), params)
        exploration = _exploration(len(numbers), params)
        return SchedulePerformanceResult(
            rounds=numbers,
            chosen=_choose(candidates, exploration, params),
            exploration=exploration,
            preferred_duration_s=preferred,
            candidates=candidates,
            unweighted=sorted({report.client for report in reports if report.counts_once}),
        )


def statistical_utility(row: Row, loss: str) -> float | None:
    """Return a client's loss times its number of examples; None where the loss is missing, negative or too large."""
    value = row.number(loss)
    if value is None or not 0 <= value < _LARGEST:
        return None
    return value * (1.0 if row.weight is None else row.weight)


def _reports(rows: Sequence[Row], numbers: Sequence[int], params: SchedulePerformanceParams) -> list[_Report]:
    places = {number: place for place, number in enumerate(numbers, start=1)}
    return [
        _Report(
            client=row.client,
            round=row.round,
            place=places[row.round],
            utility=statistical_utility(row, params.loss),
            counts_once=row.weight is None and statistical_utility(row, params.loss) is not None,
            duration=_positive(row.number(params.duration)),
        )
        for row in rows
    ]


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _exploration(rounds: int, params: SchedulePerformanceParams) -> float:
    """Return ε after some rounds: it decays down to its least value, or stays where it starts below that."""
    decayed = params.exploration * params.exploration_decay**rounds
    return max(decayed, min(params.least_exploration, params.exploration))


def _eligible(rows: Sequence[Row], params: SchedulePerformanceParams) -> list[str]:
    """Return the clients that can be chosen, by name.

    Raises:
        InvalidParameters: if all of them took part too often.
    """
    participations = Counter(row.client for row in rows)
    candidates = sorted(participations if params.candidates is None else set(params.candidates))
    most = params.most_participations
    eligible = [client for client in candidates if most is None or participations[client] <= most]
    if not eligible:
        raise InvalidParameters(
            f"all {len(candidates)} clients took part more than most_participations ({most}) times; "
            f"raise it, or name other candidates"
        )
    return eligible


def _paced(reports: Sequence[_Report], rounds: int, params: SchedulePerformanceParams) -> float | None:
    """Return the quantile of clients' newest durations that the pacer has reached; None without durations."""
    durations = {report.client: report.duration for report in reports if report.duration is not None}
    if not durations:
        return None
    utilities = np.zeros(rounds)
    for report in reports:
        utilities[report.place - 1] += report.utility or 0.0
    ends = range(params.window, rounds + 1, params.window)
    windows = [utilities[end - params.window : end].sum() for end in ends]
    dwindled = sum(bool(before > after) for before, after in pairwise(windows))
    level = min(1.0, params.pace + _PACE_STEP * dwindled)
    return float(np.quantile(list(durations.values()), level, method="inverted_cdf"))


def _system_utility(duration: float | None, preferred: float | None, penalty: float) -> float:
    """Return (T / t)^α for a client slower than T; 1 for the others and where T or t is unknown."""
    if duration is None or preferred is None or duration <= preferred:
        return 1.0
    return float((preferred / duration) ** penalty)


def _candidates(
    eligible: Sequence[str],
    newest: Mapping[str, _Report],
    preferred: float | None,
    rounds: int,
    params: SchedulePerformanceParams,
) -> list[Candidate]:
    """Return the eligible clients by utility, the greatest first; those without a loss come last."""
    reports = [newest[client] for client in eligible if client in newest]
    scores = _normalised(np.array([report.utility for report in reports], np.float64))
    seen = [
        _candidate(report, float(score), preferred, rounds, params)
        for report, score in zip(reports, scores, strict=True)
    ]
    unseen = [Candidate(client, 0.0, None, 1.0, 0.0, None) for client in eligible if client not in newest]
    return [*sorted(seen, key=lambda candidate: (-candidate.utility, candidate.client)), *unseen]


def _candidate(
    report: _Report, score: float, preferred: float | None, rounds: int, params: SchedulePerformanceParams
) -> Candidate:
    system = _system_utility(report.duration, preferred, params.penalty)
    bonus = math.sqrt(_UNCERTAINTY * math.log(rounds) / report.place)
    return Candidate(
        client=report.client,
        statistical=report.utility or 0.0,
        duration_s=report.duration,
        system=system,
        utility=(score + bonus) * system,
        last_round=report.round,
    )


def _normalised(utilities: Float64) -> Float64:
    """Return utilities scaled to 0…1, clipped at their 95th percentile against outliers, as the authors' code does."""
    if not len(utilities):
        return utilities
    clipped = np.minimum(utilities, np.quantile(utilities, _HIGHEST))
    low, high = clipped.min(), clipped.max()
    return np.asarray((clipped - low) / (high - low)) if high > low else np.ones(len(utilities))


def _choose(candidates: Sequence[Candidate], exploration: float, params: SchedulePerformanceParams) -> list[Choice]:
    """Return up to `count` choices: a share ε of clients that were never seen, the others drawn by utility."""
    rng = np.random.default_rng(params.seed)
    unseen = [candidate.client for candidate in candidates if candidate.last_round is None]
    ranked = [candidate for candidate in candidates if candidate.last_round is not None]
    explore = min(len(unseen), max(round(exploration * params.count), params.count - len(ranked)))
    exploit = min(len(ranked), params.count - explore)
    drawn = _by_utility(ranked, exploit, params.cutoff, rng)
    new = rng.choice(unseen, explore, replace=False).tolist() if explore else []
    return [*(Choice(client, "exploit") for client in drawn), *(Choice(client, "explore") for client in new)]


def _by_utility(ranked: Sequence[Candidate], count: int, cutoff: float, rng: np.random.Generator) -> list[str]:
    """Return `count` clients drawn by utility, without replacement, among those that reach `cutoff`.

    Args:
        ranked: candidates by utility, the greatest first; at least `count`.
        cutoff: share of the utility of the candidate of rank `count`.
    """
    if not count:
        return []
    bar = cutoff * ranked[count - 1].utility  # at most the last one's own, so that the pool has `count` or more
    pool = [candidate for candidate in ranked if candidate.utility >= bar]
    probabilities = np.array([candidate.utility for candidate in pool]) + 1e-9  # so that none is impossible
    drawn = rng.choice(len(pool), count, replace=False, p=probabilities / probabilities.sum())
    return [pool[row].client for row in sorted(drawn.tolist())]
