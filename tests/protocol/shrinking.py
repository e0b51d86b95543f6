"""Makes a schedule that broke a promise shorter, as long as it breaks one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby

from tests.protocol.plans import CACHED, Plan, Wish
from tests.protocol.promises import broken
from tests.protocol.schedules import Schedule, replay

MOST_TRIES = 1500


@dataclass(frozen=True)
class Record:
    """All that a schedule follows from."""

    plan: Plan
    turns: Sequence[str]
    accidents: Mapping[tuple[str, int], str]

    @classmethod
    def of(cls, schedule: Schedule) -> "Record":
        return cls(schedule.plan, schedule.turns, schedule.store.log.accidents)

    def play(self) -> Schedule:
        return replay(self.plan, self.turns, self.accidents)

    @property
    def runs(self) -> list[list[str]]:
        """The turns of one client, one after the other."""
        return [list(turns) for _, turns in groupby(self.turns)]

    @property
    def length(self) -> tuple[int, ...]:
        """What shorter means: fewer wishes come first."""
        extras = sum(wish.attempts + wish.gateway for each in self.plan.clients for wish in each)
        refreshes = sum(each not in (0.0, CACHED) for each in self.plan.refreshes)
        return self.plan.size, len(self.accidents), extras + refreshes, len(self.runs), len(self.turns)


def shrink(schedule: Schedule) -> tuple[Schedule, str]:
    """Return the shortest schedule that was found from this one, and what it breaks."""
    shortest, tries = Record.of(schedule), 0
    best = schedule, next(broken(shortest.play()))
    candidates = _shorter(shortest)
    while tries < MOST_TRIES and (candidate := next(candidates, None)):
        tries += 1
        played = candidate.play()
        record = Record.of(played)
        if record.length < shortest.length and (promise := next(broken(played), None)):
            best, shortest = (played, promise), record
            candidates = _shorter(shortest)
    return best


def _shorter(record: Record) -> Iterator[Record]:
    """Return records that may be shorter, the boldest first."""
    for plan in _shorter_plans(record.plan):
        yield replace(record, plan=plan)
    for key in record.accidents:
        yield replace(record, accidents={other: what for other, what in record.accidents.items() if other != key})
    runs = record.runs
    for index, run in enumerate(runs):
        before, after = runs[:index], runs[index + 1 :]
        for order in ([*before, *after], [*before, *after[:1], run, *after[1:]], [*before, run[:-1], *after]):
            yield replace(record, turns=list(chain.from_iterable(order)))


def _shorter_plans(plan: Plan) -> Iterator[Plan]:
    for index, wishes in enumerate(plan.clients):
        for less in _shorter_wishes(wishes):
            yield replace(plan, clients=[*plan.clients[:index], less, *plan.clients[index + 1 :]])
    for index in range(len(plan.before)):
        yield replace(plan, before=[*plan.before[:index], *plan.before[index + 1 :]])
    for index, refresh in enumerate(plan.refreshes):
        for simple in (0.0, CACHED):
            if refresh not in (0.0, CACHED):
                yield replace(plan, refreshes=[*plan.refreshes[:index], simple, *plan.refreshes[index + 1 :]])


def _shorter_wishes(wishes: Sequence[Wish]) -> Iterator[Sequence[Wish]]:
    if wishes:
        yield ()
    for index, wish in enumerate(wishes):
        yield [*wishes[:index], *wishes[index + 1 :]]
        if wish.attempts > 1:
            yield [*wishes[:index], replace(wish, attempts=1), *wishes[index + 1 :]]
        if wish.gateway:
            yield [*wishes[:index], replace(wish, gateway=0), *wishes[index + 1 :]]
