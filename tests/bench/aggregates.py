"""From the last update stored until the new model is in a client's hands, against one process that has all updates.

The model is made early, as in a training by reference: the client has it while the store is being sent it. The
peer is NumPy's weighted mean of arrays that lie in its memory, and one copy of the result over loopback.
"""

import socket
import threading
from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from flstore_core.client import FLStore
from tests.bench.resnet import Arrays
from tests.bench.row import Row, seconds, timed
from tests.bench.system import CLIENTS, System, flstore, models, s3
from tests.bench.weights import fedavg

JOB = "aggregates"
ROUNDS = 9


def rows() -> Iterator[Row]:
    """Go through rounds, each beside its peer."""
    base, updates = models()
    flat = [np.concatenate([arrays[name].ravel() for name in sorted(arrays)]) for arrays in updates]
    with s3() as server, flstore(server, JOB) as system:
        system.client.create_job(JOB, like=base, updates="weights", slices=1)
        system.client.put_aggregate(JOB, 0, base)
        system.client.commit(JOB, 0)
        rounds = [(*_round(system, number, updates), _peer(flat)) for number in range(1, ROUNDS + 1)]
    made, fetched, stored, peer = (median(column) for column in zip(*rounds[1:], strict=True))
    ours = made + fetched
    note = (
        f"FedAvg of {CLIENTS} ResNet18 {1e3 * ours:.0f} ms: made {1e3 * made:.0f}, fetched {1e3 * fetched:.0f}, and "
        f"durable {1e3 * stored:.0f} later; NumPy, and a copy over loopback {1e3 * peer:.0f} ms"
    )
    yield Row("aggregate_to_client_vs_numpy", ours / peer, "x", 1.5, note=note)


def _round(system: System, number: int, updates: Sequence[Arrays]) -> tuple[float, float, float]:
    """Store a round's updates, and return the seconds from then until the model is made, from there until a client has
    it, and from there until the store has it.
    """
    store = system.client
    clients = [f"client-{index}" for index in range(CLIENTS)]
    for index, (name, arrays) in enumerate(zip(clients, updates, strict=True)):
        store.put_update(JOB, number, name, arrays, metrics={"num_examples": 100 + index})
    ticket = store.issue_tickets(JOB, number, ["client-0"], verb="aggregate")["client-0"]
    with FLStore(system.url, ticket) as client:
        made, model = timed(lambda: store.make_aggregate(JOB, number, early=True, clients=clients))
        fetched = seconds(lambda: client.download_raw(JOB, number, "aggregate", sha256=model.result.artifact.sha256))
    stored = seconds(lambda: store.make_aggregate(JOB, number, clients=clients))
    store.commit(JOB, number)
    return made, fetched, stored


def _peer(flat: Sequence[NDArray[np.float32]]) -> float:
    out = np.empty_like(flat[0])

    def average_and_send() -> None:
        fedavg(flat, out)
        _copy(out.view(np.uint8).data)

    return seconds(average_and_send)


def _copy(body: memoryview) -> None:
    """Send bytes over loopback, into one buffer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = threading.Thread(target=_send, args=(server.getsockname(), body))
        sender.start()
        connection, _ = server.accept()
        received = memoryview(bytearray(len(body)))
        with connection:
            while received:
                received = received[connection.recv_into(received) :]
        sender.join()


def _send(address: tuple[str, int], body: memoryview) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(body)
