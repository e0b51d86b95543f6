"""Load that is bounded, and what it is measured by. A storm ends when each of its clients has what it asked for."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from flstore_core.client import FLStore
from tests.e2e import steps
from tests.e2e.answers import Answers, Watched
from tests.e2e.ledger import Ledger
from tests.servers import wait_until

JOB = "chaos"
SHAPES = {"layers": (11_176_512,), "head": (512, 1002)}
"""Of 46.8 MB, as many as a ResNet18's."""
CLIENTS = 24
FEW = 4
"""Acknowledged updates of a round after which what is to break breaks."""
REQUESTS = "flstore_requests_total"


def create_job(store: FLStore, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> None:
    store.create_job(JOB, like={name: np.zeros(shape, np.float32) for name, shape in shapes.items()})


class Flood:
    """Clients that send an update of one round each, all at the same time, and again until it is acknowledged."""

    def __init__(
        self,
        url: str,
        answers: Answers,
        ledger: Ledger,
        *,
        clients: int = CLIENTS,
        shapes: Mapping[str, tuple[int, ...]] = SHAPES,
    ) -> None:
        self._url, self._answers, self._ledger = url, answers, ledger
        self._clients, self._shapes = clients, shapes

    def run(self, number: int, meanwhile: Callable[[], object] = lambda: None) -> str:
        """Send one round's updates, and do `meanwhile` once a few are acknowledged; say what was answered."""
        before = self._answers.counts.copy()
        begin = threading.Barrier(self._clients)
        with ThreadPoolExecutor(self._clients) as pool:
            sent = [pool.submit(self._send, number, client, begin) for client in range(self._clients)]
            wait_until(lambda: self._is_under_way(number, sent), "the first acknowledged updates", 300)
            meanwhile()
            for each in sent:
                each.result()
        return self._answers.since(before)

    def _send(self, number: int, client: int, begin: threading.Barrier) -> None:
        update = _update(number, client, self._shapes)
        begin.wait()
        with Watched(self._url, self._answers) as store:
            self._ledger.add(store.put_update(JOB, number, f"client-{client}", update, metrics={"num_examples": 1}))

    def _is_under_way(self, number: int, sent: list[Future[None]]) -> bool:
        return len(self._ledger.entries(number)) >= FEW or all(each.done() for each in sent)


def _update(number: int, client: int, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng([number, client])
    return {name: rng.random(shape, np.float32) for name, shape in shapes.items()}


def commit(store: FLStore, ledger: Ledger, number: int) -> str:
    """Commit a round; its record has to name every update that was acknowledged, with its hash."""
    store.commit(JOB, number)
    recorded = {member.client: member.sha256 for member in store.round(JOB, number).members}
    missing = [str(entry) for entry in ledger.entries(number) if recorded.get(entry.client) != entry.sha256]  # type: ignore[call-overload]
    if missing:
        raise AssertionError(f"round {number} was committed without {', '.join(missing)}")
    return f"{len(recorded)} updates"


def remake(store: FLStore, times: int = 6) -> str:
    """Delete a job and create it again at once, with all that it has; nothing of that may fail."""
    for _ in range(times):
        store.delete_job(steps.JOB)
        steps.ingest(store)
        steps.ask(store)
    return f"{times} times"


class Readers:
    """Connections that ask small things again and again, for as long as the context lasts."""

    def __init__(self, url: str, answers: Answers, connections: int, pause_s: float) -> None:
        self._url, self._answers, self._connections, self._pause_s = url, answers, connections, pause_s
        self._end = threading.Event()
        self._stack = ExitStack()

    def __enter__(self) -> "Readers":
        pool = self._stack.enter_context(ThreadPoolExecutor(self._connections))
        self._reading = [pool.submit(self._read) for _ in range(self._connections)]
        return self

    def __exit__(self, *_: Any) -> None:
        self._end.set()
        self._stack.close()
        for each in self._reading:
            each.result()

    def _read(self) -> None:
        with Watched(self._url, self._answers) as store:
            while not self._end.wait(self._pause_s):
                store.rounds(steps.JOB)


def requests_in(metrics: str) -> float:
    """Return how many requests a gateway's metrics count."""
    families = text_string_to_metric_families(metrics)
    return sum(sample.value for family in families for sample in family.samples if sample.name == REQUESTS)


def evenness(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Return the share of the pod that answered least between two counts, over a fair share: 1 is even, 0 is idle."""
    answered = [count - before.get(pod, 0.0) for pod, count in after.items()]
    return min(answered) * len(answered) / sum(answered) if sum(answered) else 0.0
