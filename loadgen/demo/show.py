"""The demonstration from beginning to end, against an FLStore that runs."""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TypeVar

from rich.progress import Progress
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flstore_core.client import FLStore
from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.storage import open_store
from flstore_core.workloads import Needs
from loadgen.baselines.aggregator import Aggregator
from loadgen.demo.ingest import ingest
from loadgen.demo.measure import Hot, Question, ask_from_zero, ask_hot
from loadgen.demo.questions import Scene, parameters
from loadgen.demo.report import Report, Row
from loadgen.demo.training import TrainedRound, Training
from loadgen.demo.trial import hold_trial

T = TypeVar("T")

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
    rows, refused = _ask(client, store_url, job, training, bars)
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
        refused=refused,
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


def _ask(
    client: FLStore, store_url: str, job: str, training: Training, bars: Progress
) -> tuple[list[Row], dict[str, str]]:
    """Return the workloads asked, and why others could not be: some of a user's own may need parameters of theirs."""
    scene = Scene(training.setup.rounds, next(iter(training.attackers)))
    asked = [each for each in client.workloads() if each.raw["needs"] != Needs.MODEL]
    questions = [Question(each.name, each.pattern, parameters(each.raw, scene)) for each in asked]
    hot: list[tuple[Question, Hot]] = []
    refused: dict[str, str] = {}
    with closing(open_store(store_url, os.environ)) as store, Aggregator(store, job) as aggregator:
        for question in _each(bars, "asking hot, and the aggregator", questions):
            try:
                hot.append((question, ask_hot(client, aggregator, job, question)))
            except (InvalidParameters, NotEnoughData, NotFound) as error:
                refused[question.workload] = error.detail
    rows = [
        Row(question, found, ask_from_zero(client, job, question, IDLE_S))
        for question, found in _each(bars, "asking with all shards at zero", hot)
    ]
    return rows, refused


def _each(bars: Progress, title: str, things: Sequence[T]) -> Iterator[T]:
    """Yield `things`, and show how far it has come."""
    task = bars.add_task(title, total=len(things))
    for thing in things:
        yield thing
        bars.advance(task)
