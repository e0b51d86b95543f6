"""Clients, each a thread: they ask one gateway after the other, and ask again when an answer stays away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from threading import current_thread

from flstore_core.errors import FLStoreError, NotFound, Unavailable
from flstore_core.ids import ClientId
from flstore_core.records import Job
from tests.gateway.rounds.world import JOB, NAME, World
from tests.protocol.history import Attempt, History
from tests.protocol.store import Crash, FaultyStore

ATTEMPTS = 4
"""How often a client asks for the same thing, at most."""


@dataclass(frozen=True)
class Wish:
    """What a client wants."""

    kind: str
    number: int = 0
    client: str = ""
    seed: int = 0

    def __str__(self) -> str:
        sent = f" {self.client}={self.seed} in {self.number}"
        rest = {"put": sent, "replace": sent, "drop": f" {self.client} in {self.number}", "erase": f" {self.client}"}
        return self.kind + rest.get(self.kind, f" {self.number}" if self.kind in ("commit", "read") else "")


@dataclass(frozen=True)
class Deployment:
    """The gateways that there are, and what their clients have seen."""

    store: FaultyStore
    history: History
    gateways: Sequence[World]
    start_gateway: Callable[[], World]
    chance: Random

    def serve(self, wishes: Sequence[Wish]) -> None:
        """Be a client with these wishes, one after the other."""
        for wish in wishes:
            gateway = self.chance.choice(self.gateways)
            for _ in range(ATTEMPTS):
                try:
                    self._ask(gateway, wish)
                    break
                except Crash:
                    self.store.revive()
                    gateway = self.start_gateway()
                except Unavailable:
                    gateway = self.chance.choice(self.gateways)
                except FLStoreError:
                    break

    def _ask(self, gateway: World, wish: Wish) -> None:
        attempt = self.history.begin(current_thread().name, wish.kind, "", wish.number, wish.client, wish.seed)
        try:
            attempt.answer = OPERATIONS[wish.kind](gateway, wish, attempt)
        except FLStoreError as error:
            attempt.answer = error
            raise
        finally:
            attempt.ended = self.history.step


def _job(gateway: World, attempt: Attempt) -> Job:
    job = gateway.rounds.catalog.read_job(NAME)
    attempt.home = job.home
    return job


def _put(gateway: World, wish: Wish, attempt: Attempt) -> object:
    metrics = {"num_examples": wish.seed}
    return gateway.put(wish.number, wish.client, wish.seed, metrics, job=_job(gateway, attempt))


def _replace(gateway: World, wish: Wish, attempt: Attempt) -> object:
    metrics = {"num_examples": wish.seed}
    return gateway.put(wish.number, wish.client, wish.seed, metrics, job=_job(gateway, attempt), replace=True)


def _drop(gateway: World, wish: Wish, attempt: Attempt) -> object:
    return gateway.drop(wish.number, wish.client, job=_job(gateway, attempt))


def _commit(gateway: World, wish: Wish, attempt: Attempt) -> object:
    return gateway.commit(wish.number, job=_job(gateway, attempt))


def _erase(gateway: World, wish: Wish, attempt: Attempt) -> object:
    _job(gateway, attempt)
    return gateway.eraser.erase(NAME, ClientId(wish.client))


def _read(gateway: World, wish: Wish, attempt: Attempt) -> object:
    return gateway.rounds.records.read_record(_job(gateway, attempt), wish.number)


def _create(gateway: World, wish: Wish, attempt: Attempt) -> object:
    index, created = gateway.jobs.create(JOB)
    attempt.home = index.job.home
    return created


def _delete(gateway: World, wish: Wish, attempt: Attempt) -> object:
    try:
        gateway.jobs.delete(NAME)
    except NotFound as error:
        return error
    return None


OPERATIONS: dict[str, Callable[[World, Wish, Attempt], object]] = {
    "put": _put,
    "replace": _replace,
    "drop": _drop,
    "commit": _commit,
    "erase": _erase,
    "read": _read,
    "create": _create,
    "delete": _delete,
}
