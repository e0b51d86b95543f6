"""The contract of a workload: a question about stored rounds, asked next to the data and answered in the gateway."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from numpy.typing import NDArray

from flstore_core.model_names import ModelName
from flstore_core.patterns import Pattern
from flstore_core.workloads.model_access import ModelAccess
from flstore_core.workloads.params import Params, PatternParams
from flstore_core.workloads.views import Context, RoundData, RoundIndex, SliceMember, SliceView

Partial = Mapping[str, NDArray[Any]]
"""What `map` or `run` returns: arrays by name. They travel as safetensors."""


class Needs(StrEnum):
    """What a workload reads; it decides where the workload runs and which services it wakes."""

    METADATA = "metadata"
    """Records of rounds: answered by the gateway alone."""

    STATISTICS = "statistics"
    """Records and statistics: answered by the gateway alone for committed rounds."""

    WEIGHTS = "weights"
    """Slices of models: `map` runs in the shards."""

    MODEL = "model"
    """Whole models that are run: `run` runs in a predictor."""


P_contra = TypeVar("P_contra", bound=Params, contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Workload(Protocol[P_contra, R_co]):
    """A named question with typed parameters and a typed answer.

    A workload is stateless. It is made once, without arguments, from its `flstore.workloads` entry point.
    """

    name: ClassVar[str]
    pattern: ClassVar[Pattern]
    needs: ClassVar[Needs]
    source: ClassVar[str]
    """The method's publication."""
    params: ClassVar[type[Any]]
    """A frozen dataclass derived from `Params`: its fields are validated and become the JSON Schema."""
    result: ClassVar[type[Any]]
    """A frozen dataclass derived from `Result`."""

    def select(self, params: P_contra, index: RoundIndex) -> Sequence[int]:
        """Return the rounds to read, ascending."""

    def combine(self, partials: Sequence[Partial], context: Context, params: P_contra) -> R_co:
        """Return the answer.

        Args:
            partials: what `map` returned, in the order of the slices, or the one that `run` returned; empty for a
                workload over metadata or statistics.
            context: the selected rounds, and the means to store a model.
            params: what `select` was given.
        """


class WeightsWorkload(Workload[P_contra, R_co], Protocol[P_contra, R_co]):
    """A workload that reads weights, slice by slice."""

    reads_base: ClassVar[bool]
    """Whether `map` reads `view.base`."""

    def members(self, rounds: Sequence[RoundData], params: P_contra) -> Sequence[SliceMember]:
        """Return the models whose slices `map` needs; if there are none, `map` is not run."""

    def map(self, view: SliceView, params: P_contra) -> Partial:
        """Return what this slice contributes; runs in a shard, on one core, with NumPy alone."""


class ModelWorkload(Workload[P_contra, R_co], Protocol[P_contra, R_co]):
    """A workload that runs models."""

    def models(self, rounds: Sequence[RoundData], params: P_contra) -> Sequence[ModelName]:
        """Return the models that `run` may ask for."""

    def datasets(self, params: P_contra) -> Sequence[str]:
        """Return the names of the data sets that `run` may ask for."""

    def run(self, access: ModelAccess, params: P_contra) -> Partial:
        """Return what the models' outputs showed; it is the one element of `partials` in `combine`."""


@runtime_checkable
class ReadsStatistics(Protocol):
    """A workload over weights that also uses statistics; one without this method gets none."""

    def reads_statistics(self, params: Any) -> bool:
        """Return whether `members` or `combine` read the rounds' statistics."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a question takes at most, within a factor of a few."""

    nbytes: float = 0.0
    """Bytes that are held at once."""
    operations: float = 0.0
    """Floating-point operations, over as many steps as are to be expected."""


class EstimatesCost(Protocol):
    """A workload whose parameters and rounds decide how much it takes; one without this method takes little."""

    def cost(self, params: Any, rounds: Sequence[RoundData], parameters: int) -> Cost:
        """Return what the question takes; the caller refuses one that takes too much. Runs before anything is computed.

        Args:
            parameters: of the job's model.
        """


MetadataOf = Callable[[str], Mapping[str, str]]
"""Returns the metadata of the job's artifact with this id; raises `NotFound`."""


@runtime_checkable
class ReadsArtifacts(Protocol):
    """A workload whose parameters may name an artifact."""

    def with_artifact(self, params: Any, metadata_of: MetadataOf) -> Any:
        """Return the parameters, completed by the metadata of the artifact they name. Runs before anything else."""


@runtime_checkable
class AveragesModels(Protocol):
    """A workload whose `run` asks for weighted sums of models; tensors of integers have no part in those."""

    averages_models: ClassVar[bool]


def reads_vectors(workload: Workload[Any, Any]) -> bool:
    """Return whether a workload reads flat vectors, or statistics of them, and so leaves out all other tensors."""
    if workload.needs is Needs.MODEL:
        return isinstance(workload, AveragesModels) and workload.averages_models
    return workload.needs in (Needs.WEIGHTS, Needs.STATISTICS)


def wants_statistics(workload: Workload[Any, Any], params: Any) -> bool:
    """Return whether a workload reads the statistics of the rounds it selects."""
    if workload.needs is Needs.WEIGHTS:
        return isinstance(workload, ReadsStatistics) and workload.reads_statistics(params)
    return workload.needs is Needs.STATISTICS


def pattern_of(workload: Workload[Any, Any], params: Params) -> Pattern:
    """Return a request's access pattern: the workload's own, unless its parameters choose it."""
    return Pattern(params.pattern) if isinstance(params, PatternParams) else workload.pattern


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Return a name that moved up to `flstore_core.workloads`; packages of version 0.1 import it from here."""
        if name in _MOVED:
            return getattr(import_module("flstore_core.workloads"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; look in flstore_core.workloads")

    _MOVED = frozenset(
        {
            "ArtifactLink",
            "ArtifactWriter",
            "ClientParams",
            "InputSpec",
            "Progress",
            "RangeParams",
            "Result",
            "RoundParams",
            "RunnableModel",
            "fedavg_weights",
            "no_progress",
        }
    )
