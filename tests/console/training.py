"""A small training in a gateway in this process: honest clients that are alike, and one that sends the opposite."""

import numpy as np
from safetensors.numpy import save

from flstore_core.ids import ClientId, encode
from services.gateway.rounds.upload import Upload
from tests.gateway.world import World

ATTACKER = "c3"
HONEST = ("c0", "c1", "c2", "c4", "c5")


def train(gateway: World, rounds: int = 3, *, open_round: bool = False) -> None:
    """Store and commit rounds 0, 1, …; with `open_round`, one more stays open, without the last client."""
    gateway.create(clients_per_round=6)
    for number in range(rounds):
        send(gateway, number)
        gateway.put_aggregate(number, number + 2)
        gateway.commit(number, metrics={"accuracy": 0.5 + 0.1 * number})
    if open_round:
        send(gateway, rounds, HONEST[:-1])


def send(gateway: World, number: int, clients: tuple[str, ...] = (*HONEST, ATTACKER)) -> None:
    """Store the updates of a round."""
    rng = np.random.default_rng(number)
    direction = rng.normal(size=6)
    for place, client in enumerate(sorted(clients)):
        sign = -1.0 if client == ATTACKER else 1.0
        put(gateway, number, client, sign * direction + 0.05 * rng.normal(size=6), loss=0.9 - 0.1 * place)


def put(gateway: World, number: int, client: str, values: np.ndarray, **metrics: float) -> None:
    """Store one update; its client may have any name."""
    flat = values.astype(np.float32)
    body = save({"bias": flat[:2], "weight": flat[2:].reshape(2, 2), "steps": np.array(number)})
    gateway.time.sleep(1.0)
    upload = Upload(gateway.job, number, ClientId(encode(client)), memoryview(body), {"num_examples": 10, **metrics})
    gateway.state.ingest.put(upload)
