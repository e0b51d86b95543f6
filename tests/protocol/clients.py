"""Clients, each a thread: they ask one gateway after the other, and ask again when an answer stays away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import current_thread

from flstore_core.errors import FLStoreError, NotFound, Unavailable
from flstore_core.ids import ClientId
from flstore_core.records import Job
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
        except FLStoreError as error:
            attempt.answer = error
            raise
        finally:
            attempt.ended = self.history.step


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
    request = CommitRequest({"loss": wish.seed // 4}, allow_empty=True)
    return gateway.commit.commit(_job(gateway, attempt), wish.number, request)


def _erase(gateway: State, wish: Wish, attempt: Attempt) -> object:
    _job(gateway, attempt)
    return gateway.eraser.erase(NAME, ClientId(wish.client))


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
    return None


OPERATIONS: dict[str, Callable[[State, Wish, Attempt], object]] = {
    "put": _put,
    "replace": _put,
    "drop": _drop,
    "commit": _commit,
    "erase": _erase,
    "read": _read,
    "create": _create,
    "delete": _delete,
}
