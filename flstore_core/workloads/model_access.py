"""What a workload that runs models sees in a predictor: the models, their inputs and the job's data sets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from flstore_core.model_names import ModelName


@dataclass(frozen=True, slots=True)
class InputSpec:
    """An input of a job's program."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    """None for a size that may differ from call to call."""


class RunnableModel(Protocol):
    """A model with its weights, ready to run."""

    def __call__(self, *inputs: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """Return the outputs for a batch of inputs.

        Raises:
            InvalidParameters: if number, shapes or kinds of the inputs are not those of the program.
        """

    def neurons(self, *inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return the outputs of all linear and convolutional layers, by their names in the program."""


@runtime_checkable
class StreamingModel(RunnableModel, Protocol):
    """A model that runs elsewhere, and may have several batches on their way at one time."""

    def stream(self, batches: Iterable[Sequence[NDArray[Any]]]) -> Iterator[Sequence[NDArray[Any]]]:
        """Yield the outputs of each batch, in order. To be read to its end before the model is called again."""


def outputs_of(model: RunnableModel, batches: Iterable[Sequence[NDArray[Any]]]) -> Iterator[Sequence[NDArray[Any]]]:
    """Yield a model's outputs for each batch of inputs; faster than one call after another where that is possible."""
    if isinstance(model, StreamingModel):
        return model.stream(batches)
    return (model(*batch) for batch in batches)


class ModelAccess(Protocol):
    """What `run` works with, in a predictor."""

    @property
    def models(self) -> Sequence[ModelName]:
        """The models that `ModelWorkload.models` named, in the same order."""

    @property
    def inputs(self) -> Sequence[InputSpec]:
        """The inputs of the job's program."""

    def progress(self, done: int, total: int) -> None:
        """Report how many steps of how many are done; raises `OperationCancelled` to end the run.

        To be called between models.
        """

    def num_examples(self, name: ModelName) -> float:
        """Return a model's weight in FedAvg."""

    def model(self, name: ModelName, scale: float = 1.0) -> RunnableModel:
        """Return one of the models; keep it no longer than needed.

        Args:
            scale: factor of low-rank adapters, if the job stores any.
        """

    def mixture(self, parts: Sequence[tuple[float, ModelName]]) -> RunnableModel:
        """Return a weighted sum of models as a model."""

    def dataset(self, name: str) -> Mapping[str, NDArray[Any]]:
        """Return a stored data set: `inputs` and mostly `targets`, with one row for each example."""
