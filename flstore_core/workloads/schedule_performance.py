"""The next round's clients by statistical and system utility, with exploration: Oort (Lai et al. 2021, OSDI).

A client is worth what it could still teach, |B| √(mean of squared losses), held down where it takes longer than the
preferred duration T: × (T / t)^α. A share ε of the places explores clients that nothing is known of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen

from flstore_core.errors import InvalidParameters, unknown
from flstore_core.workloads import Context, Needs, Partial, Pattern, RangeParams, Result, RoundIndex, round_range
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.metric_rows import Row, metric_names, rows_of

_UNCERTAINTY = 0.1
_HIGHEST = 0.95
_PACE_STEP = 0.05
_BEYOND = 1e100


@dataclass(frozen=True)
class SchedulePerformanceParams(RangeParams):
    """How many clients are chosen, and what of."""

    count: Annotated[int, Ge(1), Le(10_000)] = 10
    """Clients wanted for the next round."""
    candidates: Annotated[list[str], MinLen(1)] | None = None
    """Clients that can be chosen, new ones too; all that took part in the range by default."""
    loss: str = "loss"
    """The metric that holds a client's training loss: the root mean square over its examples, or the mean of them."""
    duration: str = "duration_s"
    """The metric that tells how long a client took, in seconds."""
    preferred_duration_s: Annotated[float, Gt(0)] | None = None
    """T, in seconds; by default Oort's pacer sets it: a quantile of durations that grows when utility dwindles."""
    pace: Annotated[float, Gt(0), Le(1)] = 0.3
    """The pacer's first quantile."""
    window: Annotated[int, Ge(1), Le(10_000)] = 20
    """Rounds over which the pacer adds up utility; after each it may let durations grow by 0.05 of a quantile."""
    penalty: Annotated[float, Ge(0), Le(10)] = 2.0
    """α, the exponent on T / t of clients slower than T; 0 leaves speed out."""
    exploration: Annotated[float, Ge(0), Le(1)] = 0.9
    """ε before the first round."""
    exploration_decay: Annotated[float, Gt(0), Le(1)] = 0.98
    """What ε is multiplied by each round."""
    least_exploration: Annotated[float, Ge(0), Le(1)] = 0.2
    """Below which ε does not decay."""
    cutoff: Annotated[float, Gt(0), Le(1)] = 0.95
    """Clients are drawn among those above this share of the utility of the last that would be taken by rank."""
    most_participations: Annotated[int, Ge(1)] | None = None
    """Leave out clients that took part more often; the paper gives 10, unlimited by default."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the draws; the same seed gives the same answer."""


@dataclass(frozen=True)
class Candidate(Result):
    """What is known of one client."""

    client: str
    """The client."""
    statistical: float
    """Statistical utility from its newest loss and number of examples; 0 if it is unknown."""
    duration_s: float | None
    """Its newest duration; null if it told none."""
    system: float
    """Factor for its speed, 0 to 1."""
    utility: float
    """Normalised statistical utility with a bonus for not having been seen lately, × `system`."""
    last_round: int | None
    """Its newest round with a loss; null for a client to explore."""


@dataclass(frozen=True)
class Choice(Result):
    """One chosen client."""

    client: str
    """The client."""
    why: Literal["exploit", "explore"]
    """For its utility, or because nothing is known of it."""


@dataclass(frozen=True)
class SchedulePerformanceResult(Result):
    """Who should take part in the next round."""

    rounds: list[int]
    """The rounds looked at."""
    chosen: list[Choice]
    """The clients; fewer than asked for where there are no more."""
    exploration: float
    """ε, the share of places meant for exploration."""
    preferred_duration_s: float | None
    """T; null where no client told a duration."""
    candidates: list[Candidate]
    """All that could be chosen, the most useful first."""


@dataclass(frozen=True)
class _Known:
    """A client's newest report, with a loss."""

    place: int
    round: int
    statistical: float
    duration: float | None


class SchedulePerformance:
    """Next round's clients, by what they can still teach and how fast they are."""

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
        table = rows_of(data.record for data in context.rounds)
        numbers = [data.record.number for data in context.rounds]
        utilities = [statistical_utility(row, params.loss) for row in table]
        known = _newest(table, utilities, numbers, params)
        if not known and params.candidates is None:
            raise unknown("numeric metric", params.loss, metric_names(table))
        preferred = params.preferred_duration_s or _paced(table, utilities, numbers, params)
        candidates = _candidates(_able(table, params), known, preferred, len(numbers), params)
        epsilon = max(
            min(params.least_exploration, params.exploration),
            params.exploration * params.exploration_decay ** len(numbers),
        )
        return SchedulePerformanceResult(
            rounds=numbers,
            chosen=_choose(candidates, epsilon, params),
            exploration=epsilon,
            preferred_duration_s=preferred,
            candidates=candidates,
        )


def statistical_utility(row: Row, loss: str) -> float | None:
    """Return |B| times the root mean square of the loss; None where the loss is missing, negative or beyond measure."""
    value, examples = row.number(loss), row.number("num_examples")
    if value is None or not 0 <= value < _BEYOND:
        return None
    return value * min(max(1.0 if examples is None else examples, 0.0), _BEYOND)


def _system_utility(duration: float | None, preferred: float | None, penalty: float) -> float:
    """Return (T / t)^α for a client slower than T; 1 for the others and where either is unknown."""
    if duration is None or preferred is None or duration <= preferred:
        return 1.0
    return float((preferred / duration) ** penalty)


def _newest(
    table: Sequence[Row], utilities: Sequence[float | None], numbers: Sequence[int], params: SchedulePerformanceParams
) -> dict[str, _Known]:
    places = {number: place for place, number in enumerate(numbers, start=1)}
    found: dict[str, _Known] = {}
    for row, utility in zip(table, utilities, strict=True):
        if utility is not None:
            found[row.client] = _Known(places[row.round], row.round, utility, _positive(row.number(params.duration)))
    return found


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _able(table: Sequence[Row], params: SchedulePerformanceParams) -> list[str]:
    """Return who can be chosen, by name.

    Raises:
        InvalidParameters: if everybody took part too often.
    """
    times: dict[str, int] = {}
    for row in table:
        times[row.client] = times.get(row.client, 0) + 1
    asked = sorted(times if params.candidates is None else set(params.candidates))
    most = params.most_participations
    able = [client for client in asked if most is None or times.get(client, 0) <= most]
    if not able:
        raise InvalidParameters(f"all {len(asked)} clients took part more than most_participations ({most}) times")
    return able


def _paced(
    table: Sequence[Row], utilities: Sequence[float | None], numbers: Sequence[int], params: SchedulePerformanceParams
) -> float | None:
    """Return the quantile of clients' newest durations that the pacer has come to; None without durations."""
    durations = {row.client: value for row in table if (value := _positive(row.number(params.duration))) is not None}
    if not durations:
        return None
    gained = dict.fromkeys(numbers, 0.0)
    for row, utility in zip(table, utilities, strict=True):
        gained[row.round] += utility or 0.0
    by_round = list(gained.values())
    ends = range(params.window, len(by_round) + 1, params.window)
    windows = [sum(by_round[end - params.window : end]) for end in ends]
    dwindled = sum(before > after for before, after in pairwise(windows))
    level = min(1.0, params.pace + _PACE_STEP * dwindled)
    return float(np.quantile(list(durations.values()), level, method="inverted_cdf"))


def _candidates(
    able: Sequence[str],
    known: dict[str, _Known],
    preferred: float | None,
    rounds: int,
    params: SchedulePerformanceParams,
) -> list[Candidate]:
    """Return what is known of each client, the most useful first."""
    seen = [client for client in able if client in known]
    scores = dict(zip(seen, _normalised(np.array([known[client].statistical for client in seen])), strict=True))
    found = []
    for client in able:
        if client not in known:
            found.append(Candidate(client, 0.0, None, 1.0, 0.0, None))
            continue
        about = known[client]
        system = _system_utility(about.duration, preferred, params.penalty)
        bonus = float(np.sqrt(_UNCERTAINTY * np.log(max(rounds, 1)) / about.place))
        utility = (float(scores[client]) + bonus) * system
        found.append(Candidate(client, about.statistical, about.duration, system, utility, about.round))
    return sorted(found, key=lambda each: (each.last_round is None, -each.utility, each.client))


def _normalised(utilities: Float64) -> Float64:
    """Return utilities scaled to 0…1 as the authors' code does, clipped at the 95th percentile against outliers."""
    if not len(utilities):
        return utilities
    clipped = np.minimum(utilities, np.quantile(utilities, _HIGHEST))
    low, high = clipped.min(), clipped.max()
    return np.asarray((clipped - low) / (high - low)) if high > low else np.ones(len(utilities))


def _choose(candidates: Sequence[Candidate], epsilon: float, params: SchedulePerformanceParams) -> list[Choice]:
    """Return up to `count` choices: a share ε of unknown clients, the rest drawn by utility."""
    rng = np.random.default_rng(params.seed)
    fresh = [each.client for each in candidates if each.last_round is None]
    ranked = [each for each in candidates if each.last_round is not None]
    explored = min(len(fresh), max(round(epsilon * params.count), params.count - len(ranked)))
    exploited = min(len(ranked), params.count - explored)
    drawn = _by_utility(ranked, exploited, params.cutoff, rng)
    new = rng.choice(fresh, explored, replace=False).tolist() if explored else []
    return [*(Choice(client, "exploit") for client in drawn), *(Choice(client, "explore") for client in new)]


def _by_utility(ranked: Sequence[Candidate], count: int, cutoff: float, rng: np.random.Generator) -> list[str]:
    """Draw `count` clients without replacement by utility, among those near or above the utility of number `count`."""
    if not count:
        return []
    bar = cutoff * ranked[count - 1].utility
    pool = [each for each in ranked if each.utility >= bar]
    chances = np.array([each.utility for each in pool]) + 1e-9
    drawn = rng.choice(len(pool), count, replace=False, p=chances / chances.sum())
    return [pool[row].client for row in sorted(drawn.tolist())]
