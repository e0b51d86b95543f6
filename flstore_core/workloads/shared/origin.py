"""The origin of an artifact, in its own metadata: workload, parameters and input models, enough to make it again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flstore_core.ids import AGGREGATE
from flstore_core.records import Round
from flstore_core.workloads import Context, Params


@dataclass(frozen=True)
class Input:
    """A stored model that an artifact was made from."""

    round: int
    """Its round."""
    client: str
    """The client that sent it; `aggregate` for the round's aggregate."""
    sha256: str
    """Of its whole file, in hexadecimal; empty if it is not known."""


@dataclass(frozen=True)
class Origin:
    """The workload, parameters and input models that an artifact was made with."""

    workload: str
    params: Mapping[str, Any]
    inputs: tuple[Input, ...]

    def to_metadata(self) -> dict[str, str]:
        """Return the origin as metadata of a safetensors file, which maps text to text."""
        inputs = [[entry.round, entry.client, entry.sha256] for entry in self.inputs]
        return {"workload": self.workload, "params": json.dumps(self.params), "inputs": json.dumps(inputs)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Origin":
        """Return the origin that metadata holds.

        Raises:
            KeyError, ValueError, TypeError: if the metadata holds none, or one that cannot be read.
        """
        inputs = tuple(Input(*entry) for entry in json.loads(metadata["inputs"]))
        return cls(metadata["workload"], json.loads(metadata["params"]), inputs)


def origin_of(workload: str, context: Context, params: Params) -> Origin:
    """Return the origin of what `workload` writes: its parameters, and the models of which it read slices."""
    records = {data.record.number: data.record for data in context.rounds}
    inputs = (
        Input(member.round, member.client, sha256_of(records.get(member.round), member.client))
        for member in context.members
    )
    return Origin(workload, params.stated(), tuple(inputs))


def sha256_of(record: Round | None, client: str) -> str:
    """Return the SHA-256 of a round's model, in hexadecimal; empty if the round has no such model."""
    if record is None:
        return ""
    member = record.aggregate if client == AGGREGATE else {str(m.client): m for m in record.members}.get(client)
    return member.sha256 if member else ""
