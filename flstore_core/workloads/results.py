"""Answers of workloads: frozen dataclasses of JSON types, and links to models that are too big for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from flstore_core.flat import Float32


@dataclass(frozen=True)
class Result:
    """Base of every answer and of its parts: fields of JSON types, with a docstring each."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"use_attribute_docstrings": True}


@dataclass(frozen=True, kw_only=True)
class Weighted(Result):
    """Base of answers in which clients count by their weights in FedAvg."""

    unweighted: list[str]
    """Clients that count equally for want of a weight, sorted: those that gave none count as one example each, and
    where nobody's weight is above zero all count alike."""


@dataclass(frozen=True)
class ArtifactLink(Result):
    """Link to a model that a workload stored."""

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
        """Store the flat parameter `vector`, given as consecutive float32 pieces, in the job's schema."""
