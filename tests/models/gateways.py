"""A gateway on a real socket with jobs whose models can be fetched, each reached by a token of its own."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.client import FLStore
from services.gateway.app import create_app
from tests.gateway.world import World, world
from tests.models.fixtures import plain
from tests.models.small import network, program
from tests.serving import served

Arrays = Mapping[str, NDArray[Any]]
TOKENS = [
    {"token": "writer", "access": "write"},
    *({"token": f"reads-{job}", "jobs": [job]} for job in ("small", "moves", "bare")),
]
ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)


@dataclass(frozen=True)
class Gateway:
    """Where it is, and what it stands on."""

    url: str
    world: World

    def client(self, token: str = "writer") -> FLStore:
        return FLStore(self.url, token, retries=0)


def weights(seed: int) -> dict[str, NDArray[Any]]:
    """Return the model of a seed: `tests.models.small.output_of` has what it gives."""
    return {name: tensor.numpy() for name, tensor in plain(network(seed)).items()}


@contextmanager
def gateway() -> Iterator[Gateway]:
    """Serve these jobs, all with a program but `bare`:

    small    round 0 is model 10; round 1 has models 11 and 12 of a and `Hospital B`, and ends with model 13; 2 is open
    moves    the same, but its updates are differences from round 0
    bare     round 0 has an update that is a difference from nothing, and no aggregate
    """
    parts = world(tokens=json.dumps(TOKENS))
    with served(create_app(parts.state)) as url:
        served_by = Gateway(url, parts)
        with served_by.client() as client:
            _fill(client, "small", weights(0), updates="weights")
            _fill(client, "moves", weights(10), updates="delta")
            client.create_job("bare", like=weights(0), updates="delta")
            client.put_update("bare", 0, "a", weights(11))
            client.commit("bare", 0)
        yield served_by


def _fill(client: FLStore, job: str, base: Arrays, **settings: Any) -> None:
    client.create_job(job, like=weights(0), **settings)
    client.put_program(job, program())
    client.put_aggregate(job, 0, weights(10))
    client.commit(job, 0)
    for name, seed in (("a", 11), ("Hospital B", 12)):
        model = weights(seed)
        sent = {key: model[key] - base[key] for key in model} if job == "moves" else model
        client.put_update(job, 1, name, sent)
    client.put_aggregate(job, 1, weights(13))
    client.commit(job, 1)
    client.put_update(job, 2, "a", weights(14))
