"""Replays events: each is sent when it is due, whether or not earlier ones are answered.

Three orders are kept: a round's updates are sent after the commit of the round before, its commit after its updates,
and a request after the commits of the rounds that it reads. The wait counts towards the latency of an upload or commit.
A request that has to wait is due at the commit.

Example, at an open pace: updates due at 0 s take 3 s, their commit is due at 2 s and a request about them at 2.5 s. The
commit is sent at 3 s and takes 1 s: its latency is 2 s. The request is sent at 4 s, and its latency counts from there.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.ids import AGGREGATE
from loadgen.run.events import Commit, Event, Request, Update
from loadgen.run.questions import Catalogue
from loadgen.run.synthetic_models import Models, schema_of
from loadgen.run.tally import Tally
from loadgen.run.target import Target

JOB_SETTINGS = {"clients_per_round": 10, "hot_rounds": 2}
LEAST_FOR_BUDGET = 20
"""Fewest requests after which the share of errors can end a run."""


class Pace(StrEnum):
    """When the next event is sent."""

    OPEN = "open"
    """When it is due."""
    SERIAL = "serial"
    """When the one before is done; the trace's times are ignored."""


class BudgetSpentError(Exception):
    """More requests failed than the plan's error budget allows."""


@dataclass(frozen=True)
class Plan:
    """How a trace is replayed."""

    speed: float = 1.0
    """Seconds of the trace in a second."""
    pace: Pace = Pace.OPEN
    warm_up_s: float = 0.0
    """Seconds of the run whose requests are not counted."""
    error_budget: float = 0.05
    """Share of requests that may fail; more end the run."""
    seed: int = 1
    job_settings: Mapping[str, Any] = field(default_factory=lambda: dict(JOB_SETTINGS))
    """Settings of the jobs that are created."""

    def __post_init__(self) -> None:
        if not 0 < self.speed < float("inf"):
            raise InvalidParameters(f"speed is {self.speed}; use a number above 0")
        if not 0 <= self.error_budget <= 1:
            raise InvalidParameters(f"error_budget is {self.error_budget}; use 0 to 1")


class Replay:
    """One run against one target.

    Args:
        clock: seconds, never going back.
    """

    def __init__(
        self, target: Target, catalogue: Catalogue, plan: Plan, tally: Tally, clock: Callable[[], float]
    ) -> None:
        self._target = target
        self._catalogue = catalogue
        self._plan = plan
        self._tally = tally
        self._clock = clock
        self._started = clock()
        self._jobs: dict[str, asyncio.Task[Models]] = {}
        self._uploads: dict[tuple[str, int], list[asyncio.Task[None]]] = defaultdict(list)
        self._commits: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._latest: dict[str, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None
        self.planned_s = 0.0
        self.late = 0
        """Requests that were still unanswered when the last event was sent."""

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._started

    async def run(self, events: Iterable[Event]) -> None:
        """Send all events and wait for all answers.

        Raises:
            BudgetSpentError: if too many requests fail; what was counted stays.
            FLStoreError: if an upload or commit fails, since later requests would read what is not there.
        """
        self._started = self._clock()
        first: float | None = None
        for event in events:
            first = event.t if first is None else first
            await self._until(self._started + (event.t - first) / self._plan.speed)
            self._check()
            await self._send(event)
        self.planned_s = self.elapsed
        self.late = self._tally.asked - self._tally.answered - self._tally.failed - self._tally.warming
        while self._running:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            self._check()
        self._check()  # at a serial pace the last event is done by now, and has not been checked

    async def cancel(self) -> None:
        """Cancel what is under way."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _until(self, due: float) -> None:
        self._due = self._clock() if self._plan.pace is Pace.SERIAL else due
        await asyncio.sleep(max(0.0, self._due - self._clock()))  # even if it is late: other tasks must run

    async def _send(self, event: Event) -> None:
        due = self._due
        self._tally.lag.add(self._clock() - due)
        if isinstance(event, Update):
            task = self._begin(self._upload(event, event.client, due, self._latest.get(event.job)))
            self._uploads[event.job, event.round].append(task)
        elif isinstance(event, Commit):
            task = self._begin(self._commit(event, due))
            self._commits[event.job, event.round] = self._latest[event.job] = task
        else:
            task = self._begin(self._ask(event, due))
        if self._plan.pace is Pace.SERIAL:
            await asyncio.wait([task])

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) and self._failure is None:
            assert isinstance(error, Exception)
            self._failure = error

    def _check(self) -> None:
        if self._failure:
            raise self._failure
        if not self._tally.errors:
            return
        failed, done = self._tally.failed, self._tally.answered + self._tally.failed
        if done >= LEAST_FOR_BUDGET and failed > self._plan.error_budget * done:
            worst = ", ".join(f"{code} × {count}" for code, count in self._tally.errors.most_common(3))
            raise BudgetSpentError(f"{failed} of {done} requests failed ({worst})")

    async def _models(self, job: str, nbytes: int) -> Models:
        """Return a job's models; the first call creates the job."""
        if job not in self._jobs:
            self._jobs[job] = asyncio.ensure_future(self._create(job, nbytes))
        # Shielded, since other uploads wait for the same task: cancelling one of them must not cancel it.
        return await asyncio.shield(self._jobs[job])

    async def _create(self, job: str, nbytes: int) -> Models:
        schema = schema_of(nbytes)
        await self._target.create_job(job, schema, self._plan.job_settings)
        return Models(schema, self._plan.seed)

    async def _upload(
        self, event: Update | Commit, client: str, due: float, before: asyncio.Task[None] | None = None
    ) -> None:
        """Store a model after the commit `before`."""
        if before:
            await asyncio.shield(before)  # other uploads wait for the same commit
        models = await self._models(event.job, event.nbytes)
        await self._target.put(event.job, event.round, client, models)
        self._tally.uploads.add(self._clock() - due)
        self._tally.uploaded_bytes += event.nbytes

    async def _commit(self, event: Commit, due: float) -> None:
        uploads = self._uploads.pop((event.job, event.round), [])
        if uploads:
            await asyncio.gather(*uploads)
        await self._upload(event, AGGREGATE, self._clock())
        await self._target.commit(event.job, event.round)
        self._tally.commits.add(self._clock() - due)

    async def _ask(self, event: Request, due: float) -> None:
        self._tally.asked += 1
        if await self._committed(event):
            self._tally.postponed += 1
            due = self._clock()
        try:
            question = self._catalogue.question(event)
            answered = await self._target.ask(event.job, question)
        except FLStoreError as error:
            self._tally.error(error.code, self.elapsed)
            return
        if due - self._started < self._plan.warm_up_s:
            self._tally.warming += 1
            return
        self._tally.answer(question.workload, event.pattern, self._clock() - due, self.elapsed, answered)

    async def _committed(self, event: Request) -> bool:
        """Wait until every round that the request reads is committed, and return whether it had to wait."""
        keys = {(event.job, number) for number, _ in event.keys}
        waiting = [task for key in keys if (task := self._commits.get(key)) and not task.done()]
        if waiting:
            await asyncio.wait(waiting)  # not gather: a commit that fails ends the run, and not as this request's error
        return bool(waiting)
