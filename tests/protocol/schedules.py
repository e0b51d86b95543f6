"""One schedule: clients want what a plan says, and are let go on one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from random import Random

from flstore_core import layout
from flstore_core.records import to_bytes
from tests.fakes.interleaving import Scheduler, Task, on_one_core
from tests.gateway.rounds.world import JOB, NAME
from tests.protocol.clients import Clients
from tests.protocol.gateways import Gateway, Site, SkewedTime
from tests.protocol.history import History
from tests.protocol.plans import Plan, make_plan
from tests.protocol.scheduling import Choose, Replay, choose_strategy
from tests.protocol.store import FaultyStore, LateCall
from tests.protocol.treatments import FINE, LAST, Accidents, Treatments

MOST_STEPS = 20_000
"""Of one schedule; more, and it counts as endless. Four clients that ask four times each about a commit that broke off
take 13,000."""


@dataclass
class Schedule:
    """What was played, and what it ended in."""

    plan: Plan
    store: FaultyStore
    history: History
    site: Site
    gateways: list[Gateway]
    seed: int | None = None
    """None if it was not chosen by a seed."""
    turns: list[str] = field(default_factory=list)
    """Who went on, at every step."""
    endless: bool = False
    """Whether it was broken off, because its clients did not come to an end."""

    @property
    def switches(self) -> int:
        return sum(one != other for one, other in zip(self.turns, self.turns[1:], strict=False))

    def __str__(self) -> str:
        accidents = [f"{client}'s call {number}: {what}" for (client, number), what in self.store.log.accidents.items()]
        lines = [f"seed {self.seed}" if self.seed is not None else "made shorter"]
        return "\n".join([*lines, str(self.plan), f"  accidents: {', '.join(accidents) or 'none'}"])


def play_seed(seed: int, theme: str | None = None) -> Schedule:
    """Play the schedule of a seed, with a theme of `plans.THEMES`."""
    chance = Random(seed)
    plan = make_plan(chance, theme)
    accidents = Accidents(chance, plan.trouble, writes_only=chance.random() < 0.5)
    return replace(play(plan, choose_strategy(chance), accidents), seed=seed)


def replay(plan: Plan, turns: Sequence[str], accidents: Mapping[tuple[str, int], str]) -> Schedule:
    """Play a schedule that was recorded, or one that is like it."""
    return play(plan, Replay(turns), lambda call, client, number: accidents.get((client, number), FINE))


def play(plan: Plan, choose: Choose, treatments: Treatments) -> Schedule:
    """Play a plan."""
    scheduler, history = Scheduler(), History()
    store = FaultyStore(scheduler, history, treatments)
    store.put(layout.job(NAME), to_bytes(replace(JOB, generation=plan.generation).to_json()))
    site, numbers = Site.over(store, count(2)), count()  # g1 is taken

    def start_gateway(number: int) -> Gateway:
        chance = Random(f"{plan.clocks}/{next(numbers)}")
        return site.start_gateway(SkewedTime(scheduler, history, chance), plan.refreshes[number])

    gateways = [start_gateway(number) for number in range(len(plan.refreshes))]
    clients = Clients(history, gateways, start_gateway)
    clients.serve(plan.before)
    store.quiet, history.step = False, 1
    serve = [partial(clients.serve, wishes) for wishes in plan.clients]
    schedule = Schedule(plan, store, history, site, gateways)
    with on_one_core():
        tasks = scheduler.start({f"client {index}": each for index, each in enumerate(serve)})
        _run(tasks, schedule, choose)
    store.quiet = True
    return schedule


def _pending(tasks: Sequence[Task], store: FaultyStore) -> list[Task | LateCall]:
    return [*(task for task in tasks if task.pending), *store.late]


def _run(tasks: Sequence[Task], schedule: Schedule, choose: Choose) -> None:
    """Let one after the other go on until all have ended and no call is under way."""
    store, history = schedule.store, schedule.history
    while pending := _pending(tasks, store):
        history.step += 1
        if history.step > MOST_STEPS:
            schedule.endless = True
            return
        awake = [each for each in pending if not each.stale] or pending
        awake = [each for each in awake if each.pending and each.pending.method != LAST] or awake
        chosen = awake[choose(awake)]
        schedule.turns.append(chosen.name)
        call = chosen.pending
        if isinstance(chosen, LateCall):
            store.carry_out(chosen)
        else:
            chosen.step()
        if call and call.writes:
            for task in tasks:
                task.stale = False
    for task in tasks:
        assert task.outcome is None, task.outcome
