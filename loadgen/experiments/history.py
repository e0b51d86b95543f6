"""Stores rounds of random models over HTTP, and sends requests about them."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import Any, Self

import uvloop

from flstore_core.ids import METADATA
from flstore_core.patterns import Pattern
from loadgen.experiments.base import whole
from loadgen.run.connections import Pool
from loadgen.run.events import Commit, Event, Request, Update
from loadgen.run.runner import JOB_SETTINGS, Pace, Plan
from loadgen.run.session import Session, run_session
from loadgen.run.target import Target


@dataclass(frozen=True)
class History:
    """Jobs with rounds of models of one size."""

    nbytes: int
    jobs: int = 1
    rounds: int = 1
    clients: int = 5
    """In each round."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the jobs, beside the usual ones."""
    name: str = "job"
    """Of the jobs, before their numbers."""

    @property
    def plan(self) -> Plan:
        return Plan(pace=Pace.SERIAL, job_settings={**JOB_SETTINGS, "clients_per_round": self.clients, **self.settings})

    def events(self) -> Iterator[Event]:
        """Yield the models and commits, job by job."""
        for job in range(self.jobs):
            for number in range(self.rounds):
                for client in range(self.clients):
                    yield Update(0.0, f"{self.name}-{job}", number, f"client-{client}", self.nbytes)
                yield Commit(0.0, f"{self.name}-{job}", number, self.nbytes)

    def woken(self, url: str) -> Self:
        """Wake the shards by storing a round of another job, and return this history."""
        replace(self, jobs=1, rounds=1, clients=1, name="first").store(url)
        return self

    def store(self, url: str) -> dict[str, Any]:
        """Store all rounds and return the run's results."""
        return whole(run_session(Session(url, self.plan), self.events()))

    def store_newest(self, url: str) -> dict[str, Any]:
        """Store only the newest round of the first job and return the run's results; the others exist already."""
        events = [each for each in self.events() if isinstance(each, Update | Commit)]
        newest = [each for each in events if (each.job, each.round) == (f"{self.name}-0", self.rounds - 1)]
        return whole(run_session(Session(url, self.plan), newest))

    def ask(self, workload: str, pattern: Pattern = Pattern.P2, job: int = 0) -> Request:
        """Return a request about the newest round."""
        keys = tuple((self.rounds - 1, f"client-{client}") for client in range(self.clients))
        return Request(0.0, f"{self.name}-{job}", workload, pattern, keys)

    def all_rounds(self, workload: str) -> Request:
        """Return a request about every round's metadata."""
        keys = tuple((number, METADATA) for number in range(self.rounds))
        return Request(0.0, f"{self.name}-0", workload, Pattern.P4, keys)


def asked_again(url: str, ask: Request, times: int, workers: int = 1) -> dict[str, float]:
    """Send a request `times` times, from `workers` that each wait for their answer.

    Returns:
        `mean_ms` of an answer, `per_s` of all together, and `dollars` of one.
    """
    return uvloop.run(_asked_again(url, ask, times, workers))


async def _asked_again(url: str, ask: Request, times: int, workers: int) -> dict[str, float]:
    pool = Pool(url, timeout=120.0)
    try:
        target = Target(pool)
        question = (await target.catalogue()).question(ask)
        await target.ask(ask.job, question)
        left = iter(range(times))
        taken: list[float] = []
        dollars: list[float] = []

        async def work() -> None:
            for _ in left:
                began = time.perf_counter()
                dollars.append((await target.ask(ask.job, question)).dollars)
                taken.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(workers)))
        elapsed = time.perf_counter() - began
    finally:
        pool.close()
    return {"mean_ms": 1e3 * mean(taken), "per_s": times / elapsed, "dollars": mean(dollars)}
