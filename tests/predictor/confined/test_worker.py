"""The worker's answers, on a thread of this process instead of a process of its own; `test_confinement` has that."""

import gc
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from flstore_core import codec
from flstore_core.errors import InvalidParameters, InvalidProgram, RunTooLarge, SchemaMismatch
from flstore_core.models.base import Model, Program
from flstore_core.models.memory import SMALLEST, Memory
from flstore_core.schema import Schema, TensorSpec
from services.predictor.confined import worker as module
from services.predictor.confined.process import ConfinedProcess
from services.predictor.confined.wire import Line
from services.predictor.confined.worker import Worker
from tests.models.fixtures import CODES, plain
from tests.models.networks import Perceptron, exported
from tests.models.small import JOB
from tests.predictor.confined.probing import running

SHAPE = (64, 300, 3)
SCHEMA = Schema.of(TensorSpec(name, CODES[t.dtype], tuple(t.shape)) for name, t in plain(Perceptron(*SHAPE)).items())
ROWS = np.linspace(-1, 1, 5 * 64, dtype=np.float32).reshape(5, 64)


def network(seed: int) -> Perceptron:
    torch.manual_seed(seed)
    return Perceptron(*SHAPE)


def model(seed: int) -> Model:
    body = memoryview(codec.dumps({name: tensor.numpy() for name, tensor in plain(network(seed)).items()}))
    return Model("", SCHEMA, Memory.of(body[codec.parse(body).data_offset :]))


def copied(kept: Model) -> Model:
    """Return the model in memory that cannot be handed over by descriptor."""
    found = Memory.of(b"")
    found.data = kept.memory.data.copy()
    return Model("", SCHEMA, found)


def output_of(seed: int) -> NDArray[np.float32]:
    with torch.no_grad():
        found: NDArray[np.float32] = network(seed)(torch.from_numpy(ROWS.copy())).numpy()
    return found


class Pair:
    """A worker, and the predictor's side of its connection."""

    def __init__(self) -> None:
        end, its_end = socket.socketpair()
        self.leash, its_leash = socket.socketpair()
        self.process = ConfinedProcess(end, its_leash, 2**28, 2**28)
        self.worker = Worker(Line(its_end, lambda _: None, max_fds=1))
        self._its_end = its_end
        self._thread = threading.Thread(target=self.worker.serve)
        self._thread.start()

    def load(self, schema: Schema = SCHEMA, body: bytes | None = None) -> None:
        archive = exported(network(0), torch.zeros(2, 64)) if body is None else body
        self.process.load(Program(JOB, schema, "", Memory.of(archive)))

    def close(self) -> None:
        self.process.close()
        self._thread.join()
        self._its_end.close()
        self.leash.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    with pair.process.request(running()):
        yield pair
    pair.close()


@pytest.mark.parametrize("by_descriptor", [True, False])
def test_a_model_runs_as_in_pytorch_whichever_way_it_came(pair: Pair, by_descriptor: bool) -> None:
    kept = model(3)
    assert kept.memory.nbytes > SMALLEST
    pair.load()
    assert [(each.name, each.shape) for each in pair.process.inputs] == [("images", (None, 64))]
    (found,) = pair.process.bind([(1.0, kept if by_descriptor else copied(kept))], 1.0)(ROWS)
    np.testing.assert_allclose(found, output_of(3), rtol=1e-4, atol=1e-5)


def test_a_mixture_streams_and_tells_its_neurons(pair: Pair) -> None:
    pair.load()
    same = model(3)
    mixed = pair.process.bind([(0.25, same), (0.75, same)], 1.0)
    outputs = [out for (out,) in mixed.stream([row[None]] for row in ROWS)]
    np.testing.assert_allclose(np.concatenate(outputs), output_of(3), rtol=1e-4, atol=1e-5)
    neurons = mixed.neurons(ROWS)
    assert [array.shape for array in neurons.values()] == [(5, 300), (5, 3)]


def test_what_is_kept_is_what_somebody_has_still(pair: Pair) -> None:
    pair.load()
    kept, small = model(3), copied(model(4))
    bound = pair.process.bind([(0.5, kept), (0.5, small)], 1.0)
    bound(ROWS)
    assert (len(pair.worker._models), len(pair.worker._bound)) == (2, 1)
    with pair.process.request(running()):
        pass
    assert synchronized(pair) == (1, 0), "a copied model is gone with its request, a mapped one is not"
    del bound, kept
    gc.collect()
    pair.process.tidy()
    assert synchronized(pair) == (0, 0)


def synchronized(pair: Pair) -> tuple[int, int]:
    """Return how many models and bindings the worker has once it has read everything so far."""
    with pytest.raises(InvalidProgram, match="KeyError"):
        pair.process.run(-1, [], neurons=False)
    return len(pair.worker._models), len(pair.worker._bound)


def test_what_does_not_fit_is_told_and_the_next_request_is_answered(pair: Pair) -> None:
    pair.load()
    bound = pair.process.bind([(1.0, model(3))], 1.0)
    with pytest.raises(InvalidParameters, match="has shape"):
        bound(ROWS[:, :3])
    assert bound(ROWS)[0].shape == (5, 3)


@pytest.mark.parametrize(
    ("schema", "body", "error"),
    [
        (SCHEMA, b"no archive", InvalidProgram),
        (Schema.of([TensorSpec("w", "F32", (2,))]), None, SchemaMismatch),
    ],
)
def test_a_program_that_cannot_be_loaded_says_why(
    pair: Pair, schema: Schema, body: bytes | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        pair.load(schema, body)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), RunTooLarge.code),
        (ZeroDivisionError("division by zero"), InvalidProgram.code),
        (InvalidParameters("no"), InvalidParameters.code),
    ],
)
def test_every_failure_is_told_with_a_code(error: Exception, code: str) -> None:
    assert module._problem(error)["code"] == code
