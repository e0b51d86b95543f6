"""The demonstration from beginning to end, against an FLStore that runs."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from rich.progress import Progress, TaskID
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flstore_core.client import FLStore
from flstore_core.demo.aggregator import Aggregator
from flstore_core.demo.ingest import ingest
from flstore_core.demo.measure import Question, ask_from_zero, ask_hot
from flstore_core.demo.questions import Scene, parameters
from flstore_core.demo.report import Report, Row
from flstore_core.demo.training import TrainedRound, Training
from flstore_core.demo.trial import hold_trial
from flstore_core.storage import open_store

IDLE_S = 2.0
"""Seconds of rest after which a shard is to leave: short, so that the demonstration can wait for it."""


def demonstrate(client: FLStore, store_url: str, training: Training, bars: Progress) -> Report:
    """Train through `client`, then ask every workload in three ways.

    Args:
        store_url: the store that the FLStore behind `client` keeps its data in, for the aggregator to read.
    """
    started = time.perf_counter()
    job = f"digits-{secrets.token_hex(3)}"
    accuracy = _train(client, job, training, bars)
    trial = hold_trial(client, job, training)
    rows = _ask(client, store_url, job, training, bars)
    return Report(
        store=store_url,
        job=job,
        shards=len(client.cache().shards),
        updates=training.setup.rounds * training.setup.clients_per_round,
        parameters=client.job(job).parameters,
        accuracy=accuracy,
        seconds=time.perf_counter() - started,
        trial=trial,
        rows=rows,
    )


def _train(client: FLStore, job: str, training: Training, bars: Progress) -> float:
    """Store the whole training; return the accuracy it reached."""
    reached: list[float] = []
    task = bars.add_task("training", total=training.setup.rounds)

    def after(trained: TrainedRound) -> None:
        reached.append(trained.metrics["accuracy"])
        bars.update(task, advance=1, description=f"training, {100 * reached[-1]:.0f} % right")

    with threadpool_limits(1):
        ingest(client, job, training, after)
    return reached[-1]


def _ask(client: FLStore, store_url: str, job: str, training: Training, bars: Progress) -> list[Row]:
    scene = Scene(training.setup.rounds, next(iter(training.attackers)))
    questions = [Question(each.name, each.pattern, parameters(each.raw, scene)) for each in client.workloads()]
    with closing(open_store(store_url, os.environ)) as store, Aggregator(store, job) as aggregator:
        hot = []
        with _task(bars, "asking hot, and the aggregator", len(questions)) as task:
            for question in questions:
                hot.append(ask_hot(client, aggregator, job, question))
                bars.advance(task)
    rows = []
    with _task(bars, "asking with all shards at zero", len(questions)) as task:
        for question, found in zip(questions, hot, strict=True):
            milliseconds = ask_from_zero(client, job, question, IDLE_S)
            rows.append(Row(question, found, milliseconds))
            bars.advance(task)
    return rows


@contextmanager
def _task(bars: Progress, title: str, total: int) -> Iterator[TaskID]:
    yield bars.add_task(title, total=total)
