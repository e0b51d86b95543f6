"""The same training stored twice: by a job whose updates are weights, and by one whose updates are differences.

All values are multiples of 1/8 below 32, which every floating-point dtype has: a difference, and the model that it is
added to again, are exact. So the two jobs hold the same models to the last bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core import codec, flat, layout
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Job, Updates
from flstore_core.schema import Schema, TensorSpec
from services.gateway.rounds.commit import CommitRequest
from services.gateway.rounds.upload import Upload
from tests.fakes.store import MemoryStore
from tests.gateway.world import NAME, Answer, World, world

CLIENTS, ROUNDS = 8, 3
FLOATS = Schema.of([TensorSpec("w", "F32", (40, 50)), TensorSpec("b", "F32", (300,))])
MIXED = Schema.of(
    [
        TensorSpec("w", "F32", (30, 11)),
        TensorSpec("half", "F16", (70,)),
        TensorSpec("brain", "BF16", (41,)),
        TensorSpec("wide", "F64", (5, 5)),
        TensorSpec("steps", "I64", (3,)),
        TensorSpec("small", "U8", (2,)),
        TensorSpec("mask", "BOOL", (4,)),
    ]
)

Model = Mapping[str, NDArray[Any]]
"""Values by tensor: float64 for floats, as stored for the others."""


def minus(schema: Schema, model: Model, base: Model) -> Model:
    """Return a difference as a client computes it; integers wrap, flags have no difference and are sent as they are."""
    keep = {spec.name for spec in schema.tensors if spec.dtype == "BOOL"}
    return {name: values if name in keep else values - base[name] for name, values in model.items()}


def encode(schema: Schema, model: Model) -> bytes:
    """Return a model as a safetensors file of the schema's dtypes."""
    pieces = [codec.encode_header(schema)]
    for spec in schema.tensors:
        values = model[spec.name]
        narrow = flat.from_float32(values.astype(np.float32), spec.dtype) if values.dtype == np.float64 else values
        pieces.append(narrow.tobytes())
    return b"".join(pieces)


def start(schema: Schema, rng: np.random.Generator) -> Model:
    """Return a model with values of every dtype's own kind."""
    made: dict[str, NDArray[Any]] = {}
    for spec in schema.tensors:
        if spec.dtype in ("I64", "U8", "BOOL"):
            made[spec.name] = rng.integers(0, 2, spec.shape).astype(flat.NUMPY_DTYPE[spec.dtype])
        else:
            made[spec.name] = rng.integers(-64, 65, spec.shape) / 8
    return made


def trained(model: Model, client: int, direction: Model, rng: np.random.Generator) -> Model:
    """Return what a client makes of a model: two groups go different ways, and client 3 goes back."""
    sign, push = -1 if client == 3 else 1, 1 + client % 2
    made: dict[str, NDArray[Any]] = {}
    for name, values in model.items():
        if values.dtype == np.float64:
            step = (
                push * np.sign(direction[name]) * (1 + client % 2 * (np.arange(values.size).reshape(values.shape) % 3))
            )
            made[name] = values + sign * (step + rng.integers(-4, 5, values.shape)) / 8
        elif values.dtype == np.bool_:
            made[name] = rng.integers(0, 2, values.shape).astype(np.bool_)
        else:
            made[name] = values + np.array(200 + client, values.dtype)
    return made


def average(models: list[Model]) -> Model:
    """Return the mean on the grid; the first model's integers."""
    first = models[0]
    return {
        name: np.round(8 * np.mean([model[name] for model in models], axis=0)) / 8
        if first[name].dtype == np.float64
        else first[name]
        for name in first
    }


@dataclass(frozen=True)
class Twins:
    """Gateways with the job of weights, and with the job of differences."""

    schema: Schema
    weights: World
    differences: World

    @classmethod
    def of(
        cls,
        schema: Schema,
        *,
        based: bool = True,
        stated: bool = True,
        slices: int = 2,
        predictor: Callable[[MemoryStore], Answer] | None = None,
    ) -> "Twins":
        """Return both after `ROUNDS` committed rounds and an open one, numbered from 1.

        Args:
            based: whether round 0 has the initial model, as an aggregate; else the first rounds have no base.
            stated: whether the jobs say what their updates are; else the aggregates have to show it.
        """
        stores = [MemoryStore(), MemoryStore()]
        worlds = [world(store=store, slices=slices, predictor=predictor and predictor(store)) for store in stores]
        twins = cls(schema, *worlds)
        for each, updates in zip(worlds, Updates if stated else [Updates.WEIGHTS] * 2, strict=True):
            each.state.jobs.create(Job(NAME, schema, updates=updates, updates_stated=stated, created_at=1.0))
        twins._train(based)
        return twins

    def _train(self, based: bool) -> None:
        rng = np.random.default_rng(4)
        model, direction = start(self.schema, rng), start(self.schema, rng)
        if based:
            self._put_aggregate(0, model)
            self._commit(0)
        for number in range(1, ROUNDS + 2):
            models = [trained(model, client, direction, rng) for client in range(CLIENTS)]
            for client, made in enumerate(models):
                metrics = {
                    "num_examples": 10 + client,
                    "duration_s": 1.0 + client,
                    "accuracy": 1 / (1 + client),
                    "loss": 1.0,
                }
                self._put(self.weights, number, f"c{client}", made, metrics)
                self._put(self.differences, number, f"c{client}", minus(self.schema, made, model), metrics)
            if number <= ROUNDS:
                model = average(models)
                self._put_aggregate(number, model)
                self._commit(number)

    def _put(self, gateway: World, number: int, client: str, model: Model, metrics: Mapping[str, Any]) -> None:
        body = memoryview(encode(self.schema, model))
        gateway.state.ingest.put(Upload(gateway.job, number, ClientId(client), body, metrics))

    def _put_aggregate(self, number: int, model: Model) -> None:
        for gateway in (self.weights, self.differences):
            self._put(gateway, number, AGGREGATE, model, {})

    def _commit(self, number: int) -> None:
        for gateway in (self.weights, self.differences):
            request = CommitRequest({"loss": 1 / (1 + number)}, {"lr": 0.1 * (1 + number)})
            gateway.state.commit.commit(gateway.job, number, request)


def artifacts(gateway: World) -> dict[str, bytes]:
    """Return the data sections of the models that workloads wrote, by their names."""
    prefix = layout.artifacts_prefix(gateway.job.home)
    bodies = {key: body for key, body in gateway.store.contents.items() if key.startswith(prefix)}
    return {
        key.removeprefix(prefix).removesuffix(".safetensors"): bytes(body[8 + int.from_bytes(body[:8], "little") :])
        for key, body in bodies.items()
    }
