"""A job in a store in memory whose models run: a small perceptron, two clients and aggregates."""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flstore_core import codec, layout
from flstore_core.files import FileName, Files
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Job, Member, Round, to_bytes
from flstore_core.schema import Schema, TensorSpec
from tests.fakes.store import MemoryStore
from tests.models.fixtures import CODES, plain
from tests.models.networks import Perceptron, exported

JOB = JobId("small")
HOME = layout.home(JOB, "")
Arrays = Mapping[str, NDArray[Any]]


def network(seed: int) -> Perceptron:
    torch.manual_seed(seed)
    return Perceptron(4, 3, 2)


@cache
def program() -> bytes:
    return exported(network(0), torch.zeros(2, 4))


@cache
def other_program() -> bytes:
    """Return a program of the same schema."""
    return exported(network(0), torch.zeros(3, 4))


SCHEMA = Schema.of(TensorSpec(name, CODES[t.dtype], tuple(t.shape)) for name, t in plain(network(0)).items())
DATA = {"inputs": np.arange(24, dtype=np.float32).reshape(6, 4), "targets": np.array([0, 1, 0, 1, 0, 1])}


def output_of(seed: int, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """What PyTorch gives for the model of a seed."""
    with torch.no_grad():
        values: NDArray[np.float32] = network(seed)(torch.from_numpy(inputs.copy())).numpy()
    return values


def put_model(store: MemoryStore, number: int, client: ClientId, seed: int) -> Member:
    """Store a model with its record."""
    body = codec.dumps({name: tensor.numpy() for name, tensor in plain(network(seed)).items()})
    sha256 = hashlib.sha256(body).hexdigest()
    member = Member(client, sha256, len(body), codec.parse(memoryview(body)).data_offset, {"num_examples": seed})
    store.put(layout.tensors(HOME, number, client), body)
    store.put(layout.member(HOME, number, client), to_bytes(member.to_json()))
    return member


def commit(store: MemoryStore, number: int, clients: Mapping[str, int], aggregate: int | None) -> Round:
    """Store a committed round of the models of these seeds."""
    members = tuple(put_model(store, number, ClientId(name), seed) for name, seed in clients.items())
    newest = None if aggregate is None else put_model(store, number, AGGREGATE, aggregate)
    record = Round(number, None, members, newest, committed_at=1.0)
    store.put(layout.round_record(HOME, number), to_bytes(record.to_json()))
    return record


def put_dataset(store: MemoryStore, name: str, arrays: Arrays) -> str:
    body = codec.dumps(arrays)
    return Files(store).put(FileName.dataset(HOME, name), body, {}, 0.0)[0].sha256


def world() -> MemoryStore:
    """A job with a program, round 1 (clients a and b of seeds 11 and 12, aggregate 10) and a data set `test`."""
    store = MemoryStore()
    store.put(layout.job(JOB), to_bytes(Job(JOB, SCHEMA).to_json()))
    Files(store).put(FileName.program(HOME), program(), {}, 0.0)
    commit(store, 1, {"a": 11, "b": 12}, 10)
    put_dataset(store, "test", DATA)
    return store
