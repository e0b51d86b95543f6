"""Runs concurrent operations under every interleaving of their calls, one after the other, deterministically.

**The idea.** Each operation runs in a thread of its own and stops before each call of the store (fakes tell the
`Scheduler` of it). Only one thread runs at a time, from one call to the next, so a run is determined by which thread
was let go on at each stop: its *schedule*. `explore` runs a scenario under one schedule, then goes back to the last
stop at which another thread could have gone on, and runs it again from the beginning with that choice: a depth-first
walk through all schedules.

**What is left out.** Where two calls do not touch the same key, or only read it, their order makes no difference, and
one of both orders is enough. *Sleep sets* do this: a thread that has been tried at a stop is not tried again further
down until some other thread has made a call that conflicts with its own. For example

    A: put x, put y        B: put y, put z

have 6 interleavings, which differ in nothing but the order of the two `put y`: 2 schedules are run to their end.

This is right only for operations that meet in the store and nowhere else. Where they share memory as well (caches of
one gateway), hand in `independent=never` and bound the switches: with `preemptions=2` a thread that could go on is
held up twice at most. Most races need no more.

Sources: P. Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", LNCS 1032, 1996 (sleep
sets); M. Musuvathi, S. Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI
2007 (preemptions).
"""

import ctypes
import math
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, Thread, get_ident

from tests.fakes.store import Call

DEADLINE_S = 30.0
"""Real seconds after which a thread that does not come to its next call counts as stuck."""

SLEEP = "sleep"


def touch_other_keys(one: Call, other: Call) -> bool:
    """Say whether the order of two calls of one store cannot matter. A sleeping thread waits for a write."""
    if SLEEP in (one.method, other.method):
        return not (one.writes or other.writes)
    return not one.conflicts(other)


def never(one: Call, other: Call) -> bool:
    """Say that the order of any two calls may matter."""
    return False


@dataclass
class Scenario:
    """Operations to run concurrently, over fakes that nothing else uses."""

    operations: Mapping[str, Callable[[], object]]
    check: Callable[[Mapping[str, object]], None]
    """Asserts what must hold at the end, given what each operation returned or raised."""


class Scheduler:
    """Stops the threads of one run before each of their calls."""

    def __init__(self) -> None:
        self._tasks: dict[int, Task] = {}

    def pause(self, call: Call) -> None:
        """Stop the calling thread before a call until its turn comes. Threads that run no operation are not stopped."""
        if task := self._tasks.get(get_ident()):
            task.pause(call)

    def sleep(self, seconds: float) -> None:
        """Stop the calling thread until another one has written something, or until all threads sleep."""
        self.pause(Call(SLEEP))

    def start(self, operations: Mapping[str, Callable[[], object]]) -> "list[Task]":
        """Start every operation, and return them stopped before their first calls."""
        tasks = [Task(name, operation) for name, operation in operations.items()]
        for task in tasks:
            task.start(self._tasks)
        return tasks


class Task:
    """One operation's thread. It runs only while `step` waits for it."""

    def __init__(self, name: str, operation: Callable[[], object]) -> None:
        self.name = name
        self.outcome: object = None
        """What the operation returned, or the exception that it raised."""
        self.pending: Call | None = None
        """The call before which it stands; None when the operation has ended."""
        self.stale = False
        """It sleeps, and nothing was written since."""
        self._operation = operation
        self._tasks: dict[int, Task] = {}
        self._go, self._stopped = _closed(), _closed()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self, tasks: "dict[int, Task]") -> None:
        self._tasks = tasks
        self._thread.start()
        self._await_stop()

    def pause(self, call: Call) -> None:
        self.pending = call
        self.stale = call.method == SLEEP
        self._stopped.release()
        self._go.acquire()

    def step(self) -> Call:
        """Let the thread make its call and come to the next; return the call."""
        call = self.pending
        assert call is not None
        self._go.release()
        self._await_stop()
        return call

    def run_until(self, call: Call) -> None:
        """Let the thread go on until it stands before `call`."""
        while self.pending != call:
            self.step()

    def finish(self) -> object:
        """Let the thread go on to its end, and return the operation's outcome."""
        while self.pending:
            self.step()
        return self.outcome

    def _await_stop(self) -> None:
        assert self._stopped.acquire(timeout=DEADLINE_S), f"{self.name} does not come to its next call: a deadlock?"

    def _run(self) -> None:
        self._tasks[get_ident()] = self
        try:
            self.outcome = self._operation()
        except Exception as error:
            self.outcome = error
        self.pending = None
        self._stopped.release()


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts, on the core where it runs.

    One thread after the other goes on, a hundred times in a run. To wake one on another core takes twice as long.
    """
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {ctypes.CDLL(None).sched_getcpu()})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _closed() -> Lock:
    """Return a gate that lets one thread through each time it is released. `Semaphore` takes ten times as long."""
    gate = Lock()
    gate.acquire()
    return gate


class RacingTime:
    """A service's `Time` that stands still at 1000 s. A thread that sleeps waits for another thread's write."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.sleep = scheduler.sleep

    def now(self) -> float:
        return 1000.0

    def monotonic(self) -> float:
        return 1000.0


@dataclass
class _Stop:
    """A moment of a run at which the walk chooses the thread that goes on."""

    options: list[int]
    """Threads that may go on, in the order in which they are tried."""
    asleep: dict[int, Call]
    """The sleep set: threads that need not be tried here, and their next calls."""
    calls: dict[int, Call]
    chosen: int = 0
    """Position in `options`."""

    def advance(self) -> bool:
        """Choose the next option; False if there is none."""
        self.asleep[self.options[self.chosen]] = self.calls[self.options[self.chosen]]
        self.chosen += 1
        return self.chosen < len(self.options)


@dataclass
class Walk:
    """The walk through all schedules, and its present position."""

    independent: Callable[[Call, Call], bool] = touch_other_keys
    preemptions: float = math.inf
    runs: int = 0
    """Schedules that were run to their end."""
    path: list[_Stop] = field(default_factory=list)

    def run(self, scenario: Scenario, scheduler: Scheduler) -> list[str]:
        """Run a scenario by the choices of `path` and, after those, by the first option; return its steps."""
        tasks = scheduler.start(scenario.operations)
        steps: list[str] = []
        asleep: dict[int, Call] = {}
        previous, switches, depth = -1, 0.0, 0
        while any(task.pending for task in tasks):
            runnable = _runnable(tasks)
            if depth == len(self.path):
                self.path.append(self._stop(tasks, runnable, asleep, previous, switches))
            stop = self.path[depth]
            depth += 1
            pruned = not stop.options
            chosen = runnable[0] if pruned else stop.options[stop.chosen]
            switches += previous in runnable and chosen != previous
            call = _step(tasks, chosen)
            steps.append(f"{tasks[chosen].name}: {call}")
            asleep = {task: other for task, other in stop.asleep.items() if self.independent(call, other)}
            if pruned:
                return self._abandon(tasks)
            previous = chosen
        self.runs += 1
        _check(scenario, tasks, steps)
        return steps

    def backtrack(self) -> bool:
        """Go back to the last stop that has another option and choose it; False if there is no such stop."""
        while self.path:
            if self.path[-1].options and self.path[-1].advance():
                return True
            self.path.pop()
        return False

    def _stop(
        self, tasks: Sequence[Task], runnable: list[int], asleep: dict[int, Call], previous: int, switches: float
    ) -> _Stop:
        may_switch = switches < self.preemptions or previous not in runnable
        options = sorted(runnable, key=lambda task: task != previous) if may_switch else [previous]
        options = [task for task in options if task not in asleep]
        calls = {task: call for task in runnable if (call := tasks[task].pending)}
        return _Stop(options, dict(asleep), calls)

    def _abandon(self, tasks: Sequence[Task]) -> list[str]:
        """Finish a run that can show nothing new, without checking its end."""
        while runnable := _runnable(tasks):
            _step(tasks, runnable[0])
        return []


def explore(
    make: Callable[[Scheduler], Scenario],
    independent: Callable[[Call, Call], bool] = touch_other_keys,
    preemptions: float = math.inf,
    most_runs: int = 20_000,
) -> int:
    """Run a scenario under every schedule, and return how many there were.

    Args:
        make: makes the scenario's world afresh for each run; its fakes are to call the scheduler.
        independent: says which calls' order cannot matter.
        preemptions: how often a thread that could go on is held up, at most.

    Raises:
        AssertionError: what a check raises, with the schedule as a note.
    """
    walk = Walk(independent, preemptions)
    while True:
        scheduler = Scheduler()
        with on_one_core():
            walk.run(make(scheduler), scheduler)
        assert walk.runs <= most_runs, f"more than {most_runs} schedules; bound the preemptions"
        if not walk.backtrack():
            return walk.runs


def sample(make: Callable[[Scheduler], Scenario], runs: int, seed: int) -> None:
    """Run a scenario under `runs` schedules chosen at random; raises as `explore`."""
    chance = random.Random(seed)
    for _ in range(runs):
        scheduler = Scheduler()
        with on_one_core():
            _run_by_chance(make(scheduler), scheduler, chance)


def _run_by_chance(scenario: Scenario, scheduler: Scheduler, chance: random.Random) -> None:
    tasks, steps = scheduler.start(scenario.operations), []
    while runnable := _runnable(tasks):
        chosen = chance.choice(runnable)
        steps.append(f"{tasks[chosen].name}: {_step(tasks, chosen)}")
    _check(scenario, tasks, steps)


def _runnable(tasks: Sequence[Task]) -> list[int]:
    """Return the threads that can go on. A sleeping one can if something was written, or if all sleep."""
    pending = [index for index, task in enumerate(tasks) if task.pending]
    return [index for index in pending if not tasks[index].stale] or pending


def _step(tasks: Sequence[Task], chosen: int) -> Call:
    call = tasks[chosen].step()
    if call.writes:
        for task in tasks:
            task.stale = False
    return call


def _check(scenario: Scenario, tasks: Sequence[Task], steps: list[str]) -> None:
    try:
        scenario.check({task.name: task.outcome for task in tasks})
    except AssertionError as error:
        error.add_note("\n".join(["schedule:", *steps]))
        raise
