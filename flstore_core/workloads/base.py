"""What a workload is: a question about stored rounds, asked next to the data and answered in the gateway."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from annotated_types import Ge, Le, MinLen
from numpy.typing import NDArray

from flstore_core.codec import FlatView, Float32
from flstore_core.errors import NotEnoughData, unknown
from flstore_core.ids import AGGREGATE, MAX_ROUND, ClientId
from flstore_core.model_names import ModelName
from flstore_core.patterns import Pattern
from flstore_core.records import Job, Member, Round
from flstore_core.schema import Segment
from flstore_core.statistics import RoundStatistics

Partial = Mapping[str, NDArray[Any]]
"""What `map` finds out about a slice: arrays by name. They travel as safetensors."""


class Needs(StrEnum):
    """What a workload reads; it decides where it runs and what it wakes."""

    METADATA = "metadata"
    """Records of rounds: answered by the gateway alone."""

    STATISTICS = "statistics"
    """Records and statistics: answered by the gateway alone for committed rounds."""

    WEIGHTS = "weights"
    """Slices of models: `map` runs in the shards."""

    MODEL = "model"
    """Whole models that are run: `run` runs in a predictor."""


@dataclass(frozen=True)
class Params:
    """Base of every workload's parameters: fields of JSON types, their bounds in `Annotated`, a docstring each.

    They are its JSON Schema. What no single field's bounds can say is checked in `__post_init__`, which raises
    `InvalidParameters`.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
        "allow_inf_nan": False,
    }


@dataclass(frozen=True)
class Result:
    """Base of every answer and of its parts: fields of JSON types, a docstring each."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"use_attribute_docstrings": True}


@dataclass(frozen=True)
class RoundParams(Params):
    """Parameters of a workload over the updates of one round (P2)."""

    round: Annotated[int, Ge(0), Le(MAX_ROUND)] | None = None
    """The round asked about; the newest committed one by default. An open round is answered as it stands."""
    clients: Annotated[list[str], MinLen(1)] | None = None
    """Only these clients' updates; all of the round's by default."""


@dataclass(frozen=True)
class ClientParams(Params):
    """Parameters of a workload over one client's participations (P3)."""

    client: str
    """The client asked about."""
    last: Annotated[int, Ge(1), Le(100_000)] = 10
    """How many of its most recent participations in committed rounds are looked at."""


@dataclass(frozen=True)
class RangeParams(Params):
    """Parameters of a workload over a range of committed rounds (P4)."""

    first: Annotated[int, Ge(0), Le(MAX_ROUND)] | None = None
    """First round, inclusive; the oldest by default."""
    last: Annotated[int, Ge(0), Le(MAX_ROUND)] | None = None
    """Last round, inclusive; the newest by default."""


@dataclass(frozen=True, kw_only=True)
class PatternParams(Params):
    """Parameters of a workload that leaves it to the asker which access pattern its reading belongs to."""

    pattern: Literal["P1", "P2", "P3"] = "P2"
    """The access pattern that this reading belongs to, from which caching policies learn."""


class RoundIndex(Protocol):
    """What is known about a job's rounds before any is read."""

    @property
    def committed(self) -> Sequence[int]:
        """Committed rounds, ascending."""

    @property
    def open(self) -> Sequence[int]:
        """Rounds that have updates and are not committed, ascending."""

    def rounds_of(self, client: str) -> Sequence[int]:
        """Return the committed rounds a client took part in, ascending; raise `NotFound` if there are none."""


@dataclass(frozen=True)
class RoundData:
    """A round as a workload sees it."""

    record: Round
    statistics: RoundStatistics | None = None
    """None where the workload did not ask for statistics."""

    def members(self, clients: Sequence[str] | None = None) -> tuple[Member, ...]:
        """Return the named clients' members, or all; raise `NotFound` for a client that is not in the round."""
        if clients is None:
            return self.record.members
        known = self.record.by_client
        for client in clients:
            if client not in known:
                raise unknown(f"client in round {self.record.number}", client, known)
        return tuple(known[ClientId(client)] for client in dict.fromkeys(clients))

    def deltas(self, clients: Sequence[str] | None = None, least: int = 1) -> RoundStatistics:
        """Return the statistics of the named clients, or of all clients of the round without its aggregate.

        Raises:
            NotEnoughData: if they are fewer than `least`.
        """
        chosen = [member.client for member in self.members(clients)]
        if len(chosen) < least:
            raise NotEnoughData(f"round {self.record.number} has {len(chosen)} update(s); at least {least} are needed")
        return self._kept().take(chosen)

    def aggregate(self) -> tuple[RoundStatistics, NDArray[np.float64]]:
        """Return the statistics of every model of the round, and the weights, shape (n,), that combine their deltas to
        the aggregate's: its own row if it was stored, FedAvg's weights otherwise.
        """
        statistics = self._kept()
        if self.stores_aggregate:
            return statistics, np.array([float(member == AGGREGATE) for member in statistics.members])
        everyone = self.deltas()
        return everyone, fedavg_weights([self.record.by_client[client].num_examples for client in everyone.members])

    @property
    def stores_aggregate(self) -> bool:
        """Whether the statistics have a row of the round's aggregate."""
        return AGGREGATE in self._kept().members

    def _kept(self) -> RoundStatistics:
        if self.statistics is None:
            raise NotEnoughData("the job keeps no statistics; create it with statistics 'exact'")
        return self.statistics


def fedavg_weights(num_examples: Sequence[float]) -> NDArray[np.float64]:
    """Return FedAvg's weights, float64, shape (n,), summing to 1; equal ones where no client has examples."""
    examples = np.maximum(np.asarray(num_examples, np.float64), 0.0)
    if not examples.any():
        examples = np.ones(len(examples))
    return np.asarray(examples / examples.sum())


@dataclass(frozen=True)
class ArtifactLink(Result):
    """A model that a workload wrote, instead of megabytes of JSON."""

    href: str
    """Where it can be downloaded, as safetensors."""
    sha256: str
    """Of the whole file, in hexadecimal."""
    nbytes: int
    """Size of the whole file."""
    parameters: int
    """Length of its flat parameter vector."""


class ArtifactWriter(Protocol):
    """Stores a whole model as an artifact of the job."""

    def __call__(self, vector: Sequence[Float32], metadata: Mapping[str, str]) -> ArtifactLink:
        """Write the flat parameter `vector`, given as consecutive float32 pieces, in the job's schema."""


Progress = Callable[[int, int], None]
"""Told how many steps of how many are done; raises `OperationCancelled` where the work is to be given up."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Context:
    """What `combine` has to work with: the selected rounds, oldest first."""

    job: Job
    rounds: tuple[RoundData, ...]
    write_model: ArtifactWriter
    members: tuple["SliceMember", ...] = ()
    """The models whose slices `map` saw, in the same order."""
    models: tuple[ModelName, ...] = ()
    """The models that `run` could run, in the same order."""
    progress: Progress = no_progress
    """For work of more than a second: call it between steps."""

    @property
    def round(self) -> RoundData:
        """The one selected round."""
        (only,) = self.rounds
        return only


@dataclass(frozen=True)
class SliceMember:
    """A model that a workload reads a slice of."""

    round: int
    client: ClientId
    num_examples: float = 1.0
    weights: tuple[float, ...] = ()
    """Its part in each weighted sum of models that `map` is to work out, where `members` can tell."""


@dataclass(frozen=True)
class SliceView:
    """One slice of the models a workload reads, as `map` sees it.

    Attributes:
        members: the models, in the order of `rows`.
        rows: each model's slice of the flat vector.
        base: the same slice of the round's base; None if the round has none (deltas are then taken against zero).
        segments: the tensors of the whole flat vector, in its order.
    """

    members: tuple[SliceMember, ...]
    rows: tuple[FlatView, ...]
    base: FlatView | None = None
    segments: tuple[Segment, ...] = ()

    @property
    def num_examples(self) -> NDArray[np.float64]:
        """FedAvg's weights, float64, shape (n,)."""
        return np.array([member.num_examples for member in self.members])

    @property
    def weights(self) -> NDArray[np.float64]:
        """Each model's part in each weighted sum, float64, shape (n, sums)."""
        return np.array([member.weights for member in self.members], np.float64)


P_contra = TypeVar("P_contra", bound=Params, contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Workload(Protocol[P_contra, R_co]):
    """A named question with typed parameters and a typed answer.

    A workload is stateless; it is made once, without arguments, from the `flstore.workloads` entry points.
    """

    name: ClassVar[str]
    pattern: ClassVar[Pattern]
    needs: ClassVar[Needs]
    source: ClassVar[str]
    """The method's publication."""
    params: ClassVar[type[Any]]
    """A frozen dataclass below `Params`: its fields are validated and become the JSON Schema."""
    result: ClassVar[type[Any]]
    """A frozen dataclass below `Result`."""

    def select(self, params: P_contra, index: RoundIndex) -> Sequence[int]:
        """Return the rounds to read, ascending."""

    def combine(self, partials: Sequence[Partial], context: Context, params: P_contra) -> R_co:
        """Return the answer. `partials` come in the order of the slices; they are empty unless `needs` is weights."""


def pattern_of(workload: Workload[Any, Any], params: Params) -> Pattern:
    """Return a request's access pattern: the workload's own, unless it leaves that to its parameters."""
    return Pattern(params.pattern) if isinstance(params, PatternParams) else workload.pattern


class WeightsWorkload(Workload[P_contra, R_co], Protocol[P_contra, R_co]):
    """A workload that reads weights, slice by slice."""

    reads_base: ClassVar[bool]
    """Whether `map` wants `view.base`."""

    def members(self, rounds: Sequence[RoundData], params: P_contra) -> Sequence[SliceMember]:
        """Return the models whose slices `map` needs; where there are none, `map` is not run."""

    def map(self, view: SliceView, params: P_contra) -> Partial:
        """Return what this slice contributes; runs in a shard, on one core, with NumPy alone."""


@runtime_checkable
class ReadsStatistics(Protocol):
    """A workload over weights that has use for statistics too; one that does not say so gets none."""

    def reads_statistics(self, params: Any) -> bool:
        """Return whether `members` or `combine` want the rounds' statistics."""


def wants_statistics(workload: Workload[Any, Any], params: Any) -> bool:
    """Return whether a workload wants the statistics of the rounds it selects."""
    if workload.needs is Needs.WEIGHTS:
        return isinstance(workload, ReadsStatistics) and workload.reads_statistics(params)
    return workload.needs is Needs.STATISTICS


MetadataOf = Callable[[str], Mapping[str, str]]
"""Returns what an artifact of the job, named by its id, says of itself; raises `NotFound`."""


@runtime_checkable
class ReadsArtifacts(Protocol):
    """A workload whose parameters may name an artifact."""

    def with_artifact(self, params: Any, metadata_of: MetadataOf) -> Any:
        """Return the parameters with what the artifact they name says of itself. Runs before anything else."""


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


class ModelAccess(Protocol):
    """What `run` works with, in a predictor."""

    @property
    def models(self) -> Sequence[ModelName]:
        """The models asked for, in order."""

    @property
    def inputs(self) -> Sequence[InputSpec]:
        """What the job's program takes."""

    def progress(self, done: int, total: int) -> None:
        """Tell how many steps of how many are done; raises where the run is to end. Call it between models."""

    def num_examples(self, name: ModelName) -> float:
        """Return a model's weight in FedAvg."""

    def model(self, name: ModelName, scale: float = 1.0) -> RunnableModel:
        """Return one of the models; keep it no longer than needed.

        Args:
            scale: factor of low-rank adapters, where the job stores such.
        """

    def mixture(self, parts: Sequence[tuple[float, ModelName]]) -> RunnableModel:
        """Return a weighted sum of models as a model."""

    def dataset(self, name: str) -> Mapping[str, NDArray[Any]]:
        """Return a stored data set: `inputs` and mostly `targets`, with one row for each example."""


class ModelWorkload(Workload[P_contra, R_co], Protocol[P_contra, R_co]):
    """A workload that runs models."""

    def models(self, rounds: Sequence[RoundData], params: P_contra) -> Sequence[ModelName]:
        """Return the models that `run` may ask for."""

    def datasets(self, params: P_contra) -> Sequence[str]:
        """Return the names of the data sets that `run` may ask for."""

    def run(self, access: ModelAccess, params: P_contra) -> Partial:
        """Return what running the models told; the one element of `partials` in `combine`."""
