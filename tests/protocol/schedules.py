"""One schedule: chance makes clients and their wishes, then lets one after the other go on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random

from services.gateway.jobs import Jobs
from tests.fakes.interleaving import Scheduler, Task
from tests.gateway.rounds.world import World, world
from tests.protocol.clients import Deployment, Wish
from tests.protocol.history import History
from tests.protocol.store import CRASH, LATE, LOST, REFUSED, TWICE, Faults, FaultyStore

CLIENTS = ("ada", "bob", "cyd")
ROUNDS = (0, 1)
MOST_STEPS = 3000
"""Of one schedule. Chance ends an endless wait long before."""

TROUBLES: Sequence[dict[str, int]] = (
    {},
    {CRASH: 40},
    {REFUSED: 60, LOST: 60},
    {TWICE: 60, LATE: 60},
    {REFUSED: 20, LOST: 20, TWICE: 20, LATE: 20, CRASH: 20},
)
WISHES = {"put": 10, "replace": 4, "drop": 3, "commit": 4, "erase": 3, "read": 2, "delete": 1, "create": 1}
"""How likely each is, as shares."""


class SkewedTime:
    """A gateway's clock: it is wrong from the beginning, and may jump whenever it is looked at."""

    def __init__(self, scheduler: Scheduler, history: History, chance: Random) -> None:
        self.sleep = scheduler.sleep
        self._history, self._chance = history, chance
        self._skew = chance.choice((0.0, 0.0, -61.0, 61.0, 3600.0))

    def now(self) -> float:
        if self._chance.randrange(50) == 0:
            self._skew = self._chance.choice((0.0, -3600.0, 90.0, 86400.0))
        return 1000.0 + self._history.step * 0.01 + self._skew

    def monotonic(self) -> float:
        return self._history.step * 0.01


@dataclass
class Schedule:
    """What was played, and what it ended in."""

    seed: int
    wishes: Sequence[Sequence[Wish]]
    trouble: dict[str, int]
    store: FaultyStore
    history: History

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, accidents in a thousand calls: {self.trouble or 'none'}"]
        lines += [f"  client {index}: {', '.join(map(str, wishes))}" for index, wishes in enumerate(self.wishes)]
        return "\n".join(lines)


def play(seed: int, kinds: Sequence[str] = tuple(WISHES)) -> Schedule:
    """Play the schedule of a seed, with wishes of these kinds."""
    chance = Random(seed)
    trouble = chance.choice(TROUBLES)
    scheduler, history = Scheduler(), History()
    store = FaultyStore(scheduler, history, chance, Faults(trouble))
    names = count(2)

    def start_gateway() -> World:
        time = SkewedTime(scheduler, history, chance)
        made = World.make(store, time, refresh_seconds=chance.choice((0.0, 0.5, 1e9)))
        return replace(made, jobs=Jobs(made.rounds, made.backends, time, lambda: f"g{next(names)}"))

    world(store=store)
    wishes = [_choose_wishes(chance, kinds) for _ in range(chance.randint(2, 4))]
    deployment = Deployment(store, history, [start_gateway() for _ in range(3)], start_gateway, chance)
    store.quiet = False
    clients = {f"client {index}": lambda wishes=each: deployment.serve(wishes) for index, each in enumerate(wishes)}
    tasks = scheduler.start(clients)
    _run(tasks, store, history, chance)
    store.quiet = True
    return Schedule(seed, wishes, trouble, store, history)


def _choose_wishes(chance: Random, kinds: Sequence[str]) -> list[Wish]:
    names = [kind for kind in kinds for _ in range(WISHES[kind])]
    return [_choose_wish(chance, chance.choice(names)) for _ in range(chance.randint(1, 4))]


def _choose_wish(chance: Random, kind: str) -> Wish:
    client = chance.choice(CLIENTS)
    seed = CLIENTS.index(client) + 1 + chance.choice((0, 0, 0, 3))
    return Wish(kind, chance.choice((0, 0, 1)), client, seed)


def _run(tasks: Sequence[Task], store: FaultyStore, history: History, chance: Random) -> None:
    """Let one task after the other go on, as chance has it, until all have ended and no call is under way."""
    while pending := [task for task in tasks if task.pending]:
        history.step += 1
        assert history.step < MOST_STEPS, "the clients do not come to an end"
        awake = [task for task in pending if not task.stale] or pending
        if store.late and chance.randrange(4) == 0:
            store.carry_out(chance.choice(store.late))
            continue
        call = chance.choice(awake).step()
        if call.writes:
            for task in tasks:
                task.stale = False
    while store.late:
        history.step += 1
        store.carry_out(chance.choice(store.late))
    for task in tasks:
        assert task.outcome is None, task.outcome
