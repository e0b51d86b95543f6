"""One run from beginning to end: the replay and its watchers."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvloop

from flstore_core.errors import FLStoreError
from loadgen.run.connections import Pool
from loadgen.run.events import Event
from loadgen.run.results import outcome
from loadgen.run.runner import BudgetSpentError, Plan, Replay
from loadgen.run.tally import Tally
from loadgen.run.target import Target

LOOK_S = 1.0
"""Seconds between two updates of the watchers."""

Watch = Callable[[Tally, float], None]
"""Is called about once a second with the counts so far and the seconds since the run began."""


@dataclass(frozen=True)
class Session:
    """A plan, its target and how requests are sent."""

    url: str
    plan: Plan
    about: Mapping[str, Any] = field(default_factory=dict)
    token: str = ""
    timeout_s: float = 300.0
    anew: bool = True
    """Have the target compute each answer, even if it kept one."""

    async def run(self, events: Iterable[Event], watches: Iterable[Watch] = ()) -> dict[str, Any]:
        """Replay events and return the results, marked partial if the run ended early.

        Raises:
            FLStoreError: if the target is no FLStore, or cannot be reached when the run begins.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        pool = Pool(self.url, self.timeout_s, headers)
        target = Target(pool, anew=self.anew)
        tally = Tally()
        try:
            replay = Replay(target, await target.catalogue(), self.plan, tally, time.perf_counter)
            watching = asyncio.create_task(_watch(target, replay, tally, list(watches)))
            stopped = await _replayed(replay, events)
            watching.cancel()
            about = {**self.about, "target": self.url, "costs": await _costs(target)}
            return outcome(about, self.plan, replay, tally, stopped)
        finally:
            pool.close()


async def _replayed(replay: Replay, events: Iterable[Event]) -> str:
    """Run a replay and return why it ended early, or "" if it did not."""
    try:
        await replay.run(events)
    except BudgetSpentError as error:
        reason = str(error)
    except FLStoreError as error:
        reason = error.detail
    except asyncio.CancelledError:
        reason = "it was interrupted"
    else:
        return ""
    await replay.cancel()
    return reason


async def _costs(target: Target) -> dict[str, float]:
    try:
        return await target.costs()
    except FLStoreError:
        return {}


async def _watch(target: Target, replay: Replay, tally: Tally, watches: list[Watch]) -> None:
    while True:
        with contextlib.suppress(FLStoreError):
            tally.seconds[int(replay.elapsed)].awake = await target.awake()
        for watch in watches:
            watch(tally, replay.elapsed)
        await asyncio.sleep(LOOK_S)


def run_session(session: Session, events: Iterable[Event], watches: Iterable[Watch] = ()) -> dict[str, Any]:
    """Run a session on an event loop of its own; return partial results if it is interrupted."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, _little_garbage():
        return runner.run(session.run(events, watches))


@contextlib.contextmanager
def _little_garbage() -> Iterator[None]:
    """Exempt existing objects from garbage collection: a full collection makes dozens of requests late."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
