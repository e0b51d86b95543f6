"""The demonstration from beginning to end, against a running FLStore."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

from rich.progress import Progress
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flstore_core.client import FLStore
from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.storage import open_store
from flstore_core.workloads import Needs
from loadgen.baselines.aggregator import Aggregator
from loadgen.demo.detection import detect_attackers
from loadgen.demo.measure import Hot, Question, ask_from_zero, ask_hot
from loadgen.demo.questions import Scene, parameters
from loadgen.demo.report import Report, Row
from loadgen.demo.training import TrainedRound, Training

T = TypeVar("T")

IDLE_S = 2.0
"""Idle seconds after which a shard goes to zero: few, so that the demonstration can wait for it."""


def demonstrate(client: FLStore, store_url: str, training: Training, bars: Progress) -> Report:
    """Train through `client`, then run every workload in three ways.

    Args:
        store_url: store of the FLStore behind `client`, from which the aggregator reads.
    """
    started = time.perf_counter()
    job = f"digits-{secrets.token_hex(3)}"
    accuracy = _train(client, job, training, bars)
    detection = detect_attackers(client, job, training)
    rows, refused = _ask(client, store_url, job, training, bars)
    return Report(
        store=store_url,
        job=job,
        shards=len(client.cache().shards),
        updates=training.setup.rounds * training.setup.clients_per_round,
        parameters=client.job(job).parameters,
        accuracy=accuracy,
        seconds=time.perf_counter() - started,
        detection=detection,
        rows=rows,
        refused=refused,
    )


def _train(client: FLStore, job: str, training: Training, bars: Progress) -> float:
    """Store the whole training and return its final accuracy."""
    reached: list[float] = []
    task = bars.add_task("training", total=training.setup.rounds)

    def after(trained: TrainedRound) -> None:
        reached.append(trained.metrics["accuracy"])
        bars.update(task, advance=1, description=f"training, {100 * reached[-1]:.0f} % right")

    with threadpool_limits(1):
        _ingest(client, job, training, after)
    return reached[-1]


def _ingest(client: FLStore, job: str, training: Training, after_round: Callable[[TrainedRound], None]) -> None:
    """Create `job`, store the initial model as round 0's aggregate, and train rounds 1, 2, … into it."""
    setup = training.setup
    client.create_job(job, like=training.initial, clients_per_round=setup.clients_per_round)
    client.put_aggregate(job, 0, training.initial)
    client.commit(job, 0, hyperparameters=setup.hyperparameters)
    with ThreadPoolExecutor(setup.clients_per_round, thread_name_prefix="client") as pool:
        for trained in training.rounds():
            uploads = [
                pool.submit(client.put_update, job, trained.number, each.client, each.arrays, metrics=each.metrics)
                for each in trained.updates
            ]
            for upload in uploads:
                upload.result()
            client.put_aggregate(job, trained.number, trained.aggregate)
            client.commit(job, trained.number, metrics=trained.metrics, hyperparameters=setup.hyperparameters)
            after_round(trained)


def _ask(
    client: FLStore, store_url: str, job: str, training: Training, bars: Progress
) -> tuple[list[Row], dict[str, str]]:
    """Return a row for each workload, and the reason for each that refused: a user's own may need other parameters."""
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
        Row(question, hot_answer, ask_from_zero(client, job, question, IDLE_S))
        for question, hot_answer in _each(bars, "asking with all shards at zero", hot)
    ]
    return rows, refused


def _each(bars: Progress, title: str, items: Sequence[T]) -> Iterator[T]:
    """Yield `items`, and show the progress."""
    task = bars.add_task(title, total=len(items))
    for item in items:
        yield item
        bars.advance(task)
