"""What racing writers are promised, under every order of their calls of the store.

Each operation goes through a gateway of its own, as behind a load balancer, so that they meet in the store alone.
"""

from collections.abc import Callable, Mapping

import pytest

from flstore_core.errors import Conflict, RoundCommitted
from flstore_core.records import Round
from services.gateway.rounds.ingest import Receipt
from tests.fakes.interleaving import Scenario, Scheduler, explore
from tests.fakes.store import MemoryStore
from tests.gateway.rounds.world import World, body, gram, world

Outcomes = Mapping[str, object]
Operation = Callable[[World], object]
Check = Callable[[World, Outcomes], None]


class RacingTime:
    """Time that stands still; who sleeps waits for what others do."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.sleep = scheduler.sleep

    def now(self) -> float:
        return 1000.0

    def monotonic(self) -> float:
        return 1000.0


def racing(before: Operation, operations: Mapping[str, Operation], check: Check) -> Callable[[Scheduler], Scenario]:
    """Return a scenario: `before` is done first, then each operation through its own gateway."""

    def make(scheduler: Scheduler) -> Scenario:
        time = RacingTime(scheduler)
        setting = world(time=time)
        before(setting)
        store = setting.store
        store.before = scheduler.pause

        def bind(operation: Operation) -> Callable[[], object]:
            gateway = World.make(store, time)
            gateway.backends.shards.before = scheduler.pause
            return lambda: operation(gateway)

        def check_all(outcomes: Outcomes) -> None:
            store.before = lambda call: None
            check(World.make(store, time), outcomes)

        return Scenario({name: bind(operation) for name, operation in operations.items()}, check_all)

    return make


def nothing(setting: World) -> None:
    """There is a job and nothing in it."""


def round_opened(setting: World) -> None:
    setting.put(0, "early", 9)


def acknowledged(outcome: object) -> bool:
    return isinstance(outcome, Receipt)


def committed(outcome: object) -> bool:
    return isinstance(outcome, Round)

def test_put_put_same(capsys):
    n = explore(racing(nothing, {"A": lambda w: w.put(0,"c",1), "B": lambda w: w.put(0,"c",1)}, lambda w,o: None))
    print(n)
def test_put_put_diff(capsys):
    n = explore(racing(nothing, {"A": lambda w: w.put(0,"c",1), "B": lambda w: w.put(0,"c",2)}, lambda w,o: None))
    print(n)
def test_put_commit():
    n = explore(racing(round_opened, {"A": lambda w: w.put(0,"c",1), "B": lambda w: w.commit(0)}, lambda w,o: None))
    print(n)
def test_put_commit2():
    n = explore(racing(nothing, {"A": lambda w: w.put(0,"c",1), "B": lambda w: w.commit(0)}, lambda w,o: None))
    print(n)
def test_commit_commit():
    n = explore(racing(round_opened, {"A": lambda w: w.commit(0), "B": lambda w: w.commit(0)}, lambda w,o: None))
    print(n)
