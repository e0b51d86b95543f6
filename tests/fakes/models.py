"""A predictor's models in NumPy: what a workload that runs models sees, without a program, a process or PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.errors import NotFound
from flstore_core.model_names import ModelName
from flstore_core.workloads import InputSpec

Array = NDArray[Any]
Layers = Mapping[str, Array]
Network = Callable[[Array, Sequence[Array]], tuple[Sequence[Array], Layers]]
"""Returns the outputs of a model with the given flat parameters for some inputs, and its layers' outputs by name."""


@dataclass(frozen=True)
class FakeModel:
    """A model that can run."""

    network: Network
    vector: Array

    def __call__(self, *inputs: Array) -> Sequence[Array]:
        return self.network(self.vector, inputs)[0]

    def neurons(self, *inputs: Array) -> Layers:
        return self.network(self.vector, inputs)[1]


@dataclass
class FakeAccess:
    """The models of a job by name, the number of examples of each, and the job's data sets."""

    network: Network
    vectors: Mapping[ModelName, Array]
    inputs: Sequence[InputSpec]
    examples: Mapping[ModelName, float] = field(default_factory=dict)
    datasets: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    models: Sequence[ModelName] = ()
    """The models that the workload announced; it may run no others."""
    announced: Sequence[str] | None = None
    """The data sets that the workload announced, and it may read no others; None where no workload did."""
    steps: list[tuple[int, int]] = field(default_factory=list)
    """Every report of progress."""
    scales: list[float] = field(default_factory=list)
    """The adapter scale of every model asked for."""

    def progress(self, done: int, total: int) -> None:
        self.steps.append((done, total))

    def num_examples(self, name: ModelName) -> float:
        return self.examples.get(name, 1.0)

    def model(self, name: ModelName, scale: float = 1.0) -> FakeModel:
        assert name in self.models, f"{name} is run, but was not announced by `models`"
        self.scales.append(scale)
        return FakeModel(self.network, self.vectors[name])

    def mixture(self, parts: Sequence[tuple[float, ModelName]]) -> FakeModel:
        assert {name for _, name in parts} <= set(self.models), "a mixture is of models that `models` announced"
        total = np.sum([weight * self.vectors[name] for weight, name in parts], axis=0)
        return FakeModel(self.network, np.asarray(total, np.float32))

    def dataset(self, name: str) -> Mapping[str, Array]:
        assert self.announced is None or name in self.announced, (
            f"data set {name!r} is read, but was not announced by `datasets`"
        )
        if name not in self.datasets:
            raise NotFound(f"no data set {name!r}")
        return self.datasets[name]


def linear(features: int, outputs: int) -> Network:
    """Return a linear layer: outputs (batch, outputs) from the parameters (outputs, features), without a bias."""

    def network(vector: Array, inputs: Sequence[Array]) -> tuple[Sequence[Array], Layers]:
        answer = inputs[0] @ vector.reshape(outputs, features).T
        return [answer], {"linear": answer}

    return network


def bigram(vocabulary: int) -> Network:
    """Return a language model: the logits after each token are the token's row of (vocabulary, vocabulary)."""

    def network(vector: Array, inputs: Sequence[Array]) -> tuple[Sequence[Array], Layers]:
        return [vector.reshape(vocabulary, vocabulary)[inputs[0]]], {}

    return network
