"""Whether a round's updates are models or differences is read from its aggregate, where their job does not say it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load, save

from flstore_core import layout
from flstore_core.errors import FLStoreError, Unavailable
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Job, Round, Updates
from flstore_core.schema import Schema, TensorSpec
from services.gateway.rounds.commit import CommitRequest
from services.gateway.rounds.upload import Upload
from tests.fakes.store import Call
from tests.gateway.rounds.world import JOB, World, world

Vector = NDArray[np.float64]
Rule = Callable[[Sequence[Vector]], Vector]

LENGTH = 300
UNSTATED = replace(JOB, schema=Schema.of([TensorSpec("w", "F32", (LENGTH,))]), updates_stated=False)


def mean(steps: Sequence[Vector]) -> Vector:
    middle: Vector = np.mean(steps, axis=0)
    return middle


def median(steps: Sequence[Vector]) -> Vector:
    middle: Vector = np.median(steps, axis=0)
    return middle


def momentum(steps: Sequence[Vector]) -> Vector:
    """Return a server's step that goes on in the direction of earlier ones."""
    return mean(steps) + 0.9 * np.full(LENGTH, 0.3)


def half(steps: Sequence[Vector]) -> Vector:
    """Return the step of a server with the learning rate 1/2."""
    return 0.5 * mean(steps)


def put(gateway: World, job: Job, number: int, client: str, model: Vector, **metrics: Any) -> None:
    body = memoryview(save({"w": model.astype(np.float32)}))
    gateway.ingest.put(Upload(job, number, ClientId(client), body, metrics))


def steps(rng: np.random.Generator, clients: int = 6) -> list[Vector]:
    """Return how far each client moves: on the whole one way."""
    way = rng.normal(size=LENGTH)
    return [way + rng.normal(size=LENGTH) for _ in range(clients)]


def train(
    job: Job, sends: Updates, rule: Rule = mean, rounds: int = 2, size: float = 10.0
) -> tuple[World, list[Round]]:
    """Commit rounds 1 to `rounds` over a model of numbers of about `size`, and return their records."""
    rng = np.random.default_rng(7)
    gateway = world(job)
    model = rng.normal(size=LENGTH) * size
    put(gateway, job, 0, AGGREGATE, model)
    gateway.commits.commit(job, 0, CommitRequest())
    records = []
    for number in range(1, rounds + 1):
        moved = steps(rng)
        for client, step in enumerate(moved):
            sent = step if sends is Updates.DELTA else model + step
            put(gateway, job, number, f"c{client}", sent, num_examples=1 + client)
        weights = np.arange(1, 7) * 6 / 21
        model = model + rule([weight * step for weight, step in zip(weights, moved, strict=True)])
        put(gateway, job, number, AGGREGATE, model)
        records.append(gateway.commits.commit(job, number, CommitRequest()))
    return gateway, records


def put_round(gateway: World, sends: Updates) -> None:
    """Put what the clients of round 3 send, and FedAvg's model."""
    model = newest_model(gateway)
    moved = steps(np.random.default_rng(1))
    for client, step in enumerate(moved):
        put(gateway, UNSTATED, 3, f"c{client}", step if sends is Updates.DELTA else model + step)
    put(gateway, UNSTATED, 3, AGGREGATE, model + mean(moved))


def newest_model(gateway: World) -> Vector:
    """Return the aggregate of round 2."""
    ref = gateway.rounds.records.locate_aggregate(UNSTATED, 2)
    model: NDArray[np.float32] = load(gateway.store.contents[ref.file(UNSTATED.home)])["w"]
    return model.astype(np.float64)


@pytest.mark.parametrize("rule", [mean, median, momentum, half])
@pytest.mark.parametrize("sends", Updates)
def test_the_aggregate_shows_what_was_sent_by_whatever_rule_it_was_made(rule: Rule, sends: Updates) -> None:
    _, records = train(UNSTATED, sends, rule)
    assert {UNSTATED.updates_of(record.updates) for record in records} == {sends}


@pytest.mark.parametrize("stated", Updates)
@pytest.mark.parametrize("sends", Updates)
def test_what_a_job_says_is_not_doubted(stated: Updates, sends: Updates) -> None:
    job = replace(UNSTATED, updates=stated, updates_stated=True)
    _, records = train(job, sends)
    assert {(record.updates, job.updates_of(record.updates)) for record in records} == {(None, stated)}


@pytest.mark.parametrize("sends", Updates)
def test_statistics_are_of_what_was_sent(sends: Updates) -> None:
    stated, _ = train(replace(UNSTATED, updates=sends, updates_stated=True), sends)
    unstated, _ = train(UNSTATED, sends)
    keys = [layout.statistics(UNSTATED.home, number) for number in (1, 2)]
    assert [stated.store.contents[key] for key in keys] == [unstated.store.contents[key] for key in keys]


def test_an_open_round_is_taken_for_what_its_base_s_round_was() -> None:
    gateway, _ = train(UNSTATED, Updates.DELTA)
    for client, step in enumerate(steps(np.random.default_rng(1))):
        put(gateway, UNSTATED, 3, f"c{client}", step)
    opened = gateway.rounds.openings.read_open(UNSTATED, 3)
    assert opened.updates is Updates.DELTA
    assert gateway.commits.commit(UNSTATED, 3, CommitRequest()).updates is Updates.DELTA, "nothing shows otherwise"


def test_weights_after_differences_are_noticed_too() -> None:
    gateway, _ = train(UNSTATED, Updates.DELTA)
    put_round(gateway, Updates.WEIGHTS)
    record = gateway.commits.commit(UNSTATED, 3, CommitRequest())
    assert UNSTATED.updates_of(record.updates) is Updates.WEIGHTS


@pytest.mark.parametrize("sends", Updates)
def test_a_round_that_is_as_expected_is_measured_once(sends: Updates) -> None:
    gateway, _ = train(UNSTATED, sends)
    asked: list[Call] = []
    gateway.backends.shards.before = asked.append
    put_round(gateway, sends)
    gateway.commits.commit(UNSTATED, 3, CommitRequest())
    assert [call.key for call in asked] == [layout.round_prefix(UNSTATED.home, 3)]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.floats(0.0, 100.0),
    rate=st.floats(-2.0, 2.0),
    noise=st.floats(0.0, 3.0),
)
def test_models_are_never_taken_for_differences(seed: int, size: float, rate: float, noise: float) -> None:
    """Not by any learning rate and noise of the server, and not over a model that begins at zero."""
    rng = np.random.default_rng(seed)
    gateway = world(UNSTATED)
    base, moved = rng.normal(size=LENGTH) * size, steps(rng)
    put(gateway, UNSTATED, 0, AGGREGATE, base)
    gateway.commits.commit(UNSTATED, 0, CommitRequest())
    for client, step in enumerate(moved):
        put(gateway, UNSTATED, 1, f"c{client}", base + step)
    put(gateway, UNSTATED, 1, AGGREGATE, base + rate * mean(moved) + noise * rng.normal(size=LENGTH))
    assert gateway.commits.commit(UNSTATED, 1, CommitRequest()).updates is None


class TestAShardThatDoesNotKnowDifferences:
    """A shard of version 0.1.0, beside a gateway of this one."""

    def commit(self, job: Job, error: FLStoreError) -> Round:
        """Commit a round whose aggregate its models do not explain; the second look ends in an error."""
        rng = np.random.default_rng(3)
        gateway, asked = world(job), list[Call]()
        put(gateway, job, 0, AGGREGATE, rng.normal(size=LENGTH))
        gateway.commits.commit(job, 0, CommitRequest())
        put(gateway, job, 1, "ada", rng.normal(size=LENGTH))
        put(gateway, job, 1, AGGREGATE, rng.normal(size=LENGTH))

        def fail_second_look(call: Call) -> None:
            asked.append(call)
            if len(asked) == 2:
                raise error

        gateway.backends.shards.before = fail_second_look
        return gateway.commits.commit(job, 1, CommitRequest())

    def test_its_jobs_are_taken_as_that_version_takes_them(self) -> None:
        record = self.commit(replace(UNSTATED, generation=""), FLStoreError("the shard failed"))
        assert (record.committed, record.updates) == (True, None)

    def test_a_shard_that_is_away_is_no_such_shard(self) -> None:
        with pytest.raises(Unavailable):
            self.commit(replace(UNSTATED, generation=""), Unavailable("the shard is away"))

    def test_no_other_job_is_on_such_a_shard(self) -> None:
        with pytest.raises(FLStoreError, match="the shard failed"):
            self.commit(UNSTATED, FLStoreError("the shard failed"))
