"""Clients, each a thread: they ask one gateway after the other, and ask again when an answer stays away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import current_thread

import numpy as np
from safetensors.numpy import save

from flstore_core import layout
from flstore_core.errors import FLStoreError, NotFound, Unavailable
from flstore_core.ids import ClientId
from flstore_core.records import Job
from services.gateway.answers.question import Options
from services.gateway.rounds.commit import CommitRequest
from services.gateway.rounds.upload import Upload
from services.gateway.state import State
from tests.gateway.rounds.world import JOB, NAME, body
from tests.protocol.gateways import Gateway
from tests.protocol.history import Attempt, History
from tests.protocol.plans import Wish
from tests.protocol.store import Crash


@dataclass(frozen=True)
class Clients:
    """What clients have in common: the gateways that there are, and what was answered."""

    history: History
    gateways: list[Gateway]
    start_gateway: Callable[[int], Gateway]
    """Starts the gateway of a number anew."""

    def serve(self, wishes: Sequence[Wish]) -> None:
        """Be a client with these wishes, one after the other."""
        for wish in wishes:
            for attempt in range(wish.attempts):
                number = (wish.gateway + attempt) % len(self.gateways)
                try:
                    self._ask(self._find_gateway(number), wish)
                    break
                except (Crash, Unavailable):
                    continue
                except FLStoreError:
                    break

    def _find_gateway(self, number: int) -> Gateway:
        if self.gateways[number].crashed:
            self.gateways[number] = self.start_gateway(number)
        return self.gateways[number]

    def _ask(self, gateway: Gateway, wish: Wish) -> None:
        attempt = self.history.begin(current_thread().name, wish, gateway)
        try:
            attempt.answer = OPERATIONS[wish.kind](gateway.state, wish, attempt)
            attempt.answered = self.history.step
            gateway.keepers.run_all()  # what goes on after the answer does so in its client's thread
        except FLStoreError as error:
            attempt.answer = error
            raise
        finally:
            attempt.ended = self.history.step
            attempt.answered = min(attempt.answered, attempt.ended)


def _job(gateway: State, attempt: Attempt) -> Job:
    job = gateway.rounds.catalog.read_job(NAME)
    attempt.home = job.home
    return job


def _put(gateway: State, wish: Wish, attempt: Attempt) -> object:
    job, client, metrics = _job(gateway, attempt), ClientId(wish.client), {"num_examples": wish.seed}
    content = memoryview(body(wish.seed))
    return gateway.ingest.put(Upload(job, wish.number, client, content, metrics, replace=wish.kind == "replace"))


def _drop(gateway: State, wish: Wish, attempt: Attempt) -> object:
    return gateway.withdrawals.drop_update(_job(gateway, attempt), wish.number, ClientId(wish.client))


def _commit(gateway: State, wish: Wish, attempt: Attempt) -> object:
    request = CommitRequest({"loss": wish.seed // 4}, allow_empty=wish.kind == "commit")
    return gateway.commit.commit(_job(gateway, attempt), wish.number, request)


def _erase(gateway: State, wish: Wish, attempt: Attempt) -> object:
    _job(gateway, attempt)
    return gateway.eraser.erase(NAME, ClientId(wish.client))


def _go_on(gateway: State, wish: Wish, attempt: Attempt) -> object:
    """Finish erasures that broke off, or may have: a gateway goes on at its second look."""
    gateway.eraser.go_on()
    gateway.eraser.go_on()
    return DONE


def _read(gateway: State, wish: Wish, attempt: Attempt) -> object:
    return gateway.rounds.records.read_record(_job(gateway, attempt), wish.number)


def _create(gateway: State, wish: Wish, attempt: Attempt) -> object:
    index, created = gateway.jobs.create(JOB)
    attempt.home = index.job.home
    return created


def _delete(gateway: State, wish: Wish, attempt: Attempt) -> object:
    try:
        gateway.jobs.delete(NAME)
    except NotFound as error:
        return error
    return DONE


def _ask(gateway: State, wish: Wish, attempt: Attempt) -> object:
    _job(gateway, attempt)
    return gateway.runner.run(NAME, QUESTIONS[wish.kind], {"round": wish.number}, Options()).result


def _make(gateway: State, wish: Wish, attempt: Attempt) -> object:
    _job(gateway, attempt)
    return gateway.aggregates.make(NAME, wish.number, {}, replace=wish.kind == "remake").result


def _make_early(gateway: State, wish: Wish, attempt: Attempt) -> object:
    _job(gateway, attempt)
    return gateway.aggregates.make_early(NAME, wish.number, {}, replace=True)[0].result


def _put_dataset(gateway: State, wish: Wish, attempt: Attempt) -> object:
    return gateway.programs.put_dataset(_job(gateway, attempt), DATASET, memoryview(dataset(wish.seed)))[0]


def _read_dataset(gateway: State, wish: Wish, attempt: Attempt) -> object:
    job = _job(gateway, attempt)
    record = gateway.programs.read_dataset(job, DATASET)
    return record, gateway.rounds.store.get(layout.dataset(job.home, DATASET, record.upload))


def _drop_dataset(gateway: State, wish: Wish, attempt: Attempt) -> object:
    gateway.programs.delete_dataset(_job(gateway, attempt), DATASET)
    return DONE


DATASET = "held-out"
DONE = "done"
QUESTIONS = {"aggregate": "aggregate", "compare": "cosine-similarity"}
"""Workloads, by the kind of the request."""


def dataset(seed: int) -> bytes:
    """Return a data set as the safetensors library writes it."""
    return save({"inputs": np.full((1, 2), seed, np.float32)})


OPERATIONS: dict[str, Callable[[State, Wish, Attempt], object]] = {
    "put": _put,
    "replace": _put,
    "drop": _drop,
    "commit": _commit,
    "commit-filled": _commit,
    "erase": _erase,
    "go-on": _go_on,
    "read": _read,
    "aggregate": _ask,
    "compare": _ask,
    "make": _make,
    "remake": _make,
    "make-early": _make_early,
    "put-dataset": _put_dataset,
    "read-dataset": _read_dataset,
    "drop-dataset": _drop_dataset,
    "create": _create,
    "delete": _delete,
}
