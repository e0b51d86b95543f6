"""Parameters of workloads: frozen dataclasses of JSON types, whose fields become the workload's JSON Schema."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le, MinLen

from flstore_core.ids import MAX_ROUND


@dataclass(frozen=True)
class Params:
    """Base of every workload's parameters: fields of JSON types, with bounds in `Annotated` and a docstring each.

    A condition that spans several fields is checked in `__post_init__`, which raises `InvalidParameters`.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
        "allow_inf_nan": False,
    }

    ADDED: ClassVar[tuple[str, ...]] = ()
    """Fields that earlier versions do not know. One that is None is not named to others, nor in an artifact, so that
    shards of an earlier version answer, and an artifact keeps its hash."""

    def stated(self) -> dict[str, Any]:
        """Return the parameters by name, as they are stored and sent to shards."""
        return {name: value for name, value in asdict(self).items() if name not in self.ADDED or value is not None}


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
    """Parameters of a workload whose access pattern is chosen in each request."""

    pattern: Literal["P1", "P2", "P3"] = "P2"
    """The access pattern that this reading belongs to, from which caching policies learn."""
