"""A system of processes with a console, and a job of the demonstration in it: honest clients, and three attackers.

`python -m tests.console_browser.system` leaves one running, to look at while a view is changed.
"""

import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flstore_core.client import FLStore
from loadgen.demo.training import Attack, Setup, Training
from services.local.console import console_listening
from services.local.running import running
from services.local.settings import HOST
from services.local.sockets import url_of

JOB = "digits"
SETUP = Setup(clients=20, rounds=12, hidden=(64, 32))
"""Smaller than the demonstration's, so that it is trained in seconds; every client takes part several times."""


@dataclass(frozen=True)
class System:
    """Where a running system is."""

    gateway: str
    console: str
    store: Path
    log: Path

    def client(self, token: str | None = None) -> FLStore:
        return FLStore(self.gateway, token)


@contextmanager
def system(folder: Path, env: Mapping[str, str] | None = None, *, idle_seconds: float = 60.0) -> Iterator[System]:
    """Run gateway, controller, two shards at zero and a console over an empty store in `folder`."""
    log, store = folder / "log", folder / "store"
    with (
        console_listening(HOST) as listening,
        running(str(store), idle_seconds=idle_seconds, log=log, console=listening, env=env) as addresses,
    ):
        yield System(addresses.gateway, url_of(listening), store, log)


def train(client: FLStore, job: str = JOB, setup: Setup = SETUP) -> Training:
    """Store a training: the initial model as round 0's aggregate, and rounds 1, 2, …"""
    training = Training(setup)
    client.create_job(job, like=training.initial, clients_per_round=setup.clients_per_round)
    client.put_aggregate(job, 0, training.initial)
    client.commit(job, 0, hyperparameters=setup.hyperparameters)
    for trained in training.rounds():
        for each in trained.updates:
            client.put_update(job, trained.number, each.client, each.arrays, metrics=each.metrics)
        client.put_aggregate(job, trained.number, trained.aggregate)
        client.commit(job, trained.number, metrics=trained.metrics, hyperparameters=setup.hyperparameters)
    return training


def attacker_of(training: Training) -> str:
    """Return the client that sends noise, which every method finds in a single round."""
    return next(str(client) for client, attack in training.attackers.items() if attack is Attack.SCALED_NOISE)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, system(Path(folder), idle_seconds=600.0) as running_system:
        with running_system.client() as client:
            print(attacker_of(train(client)))  # noqa: T201 - that is what it is for
        print(running_system.console, running_system.gateway, flush=True)  # noqa: T201
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
