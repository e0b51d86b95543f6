"""What a model that a workload wrote says of its own making: enough to make it again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flstore_core.ids import AGGREGATE
from flstore_core.records import Round
from flstore_core.workloads import Context, Params


@dataclass(frozen=True)
class Input:
    """A stored model that went into another."""

    round: int
    """Its round."""
    client: str
    """Who sent it; `aggregate` for the round's aggregate."""
    sha256: str
    """Of its whole file, in hexadecimal; empty where it is not known."""


@dataclass(frozen=True)
class Origin:
    """How an artifact came about."""

    workload: str
    params: Mapping[str, Any]
    inputs: tuple[Input, ...]

    def to_metadata(self) -> dict[str, str]:
        """Return the origin as the text-to-text metadata of a safetensors file."""
        inputs = [[entry.round, entry.client, entry.sha256] for entry in self.inputs]
        return {"workload": self.workload, "params": json.dumps(self.params), "inputs": json.dumps(inputs)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Origin":
        """Return the origin that metadata tells; raise `KeyError` if it tells none."""
        inputs = tuple(Input(*entry) for entry in json.loads(metadata["inputs"]))
        return cls(metadata["workload"], json.loads(metadata["params"]), inputs)


def origin_of(workload: str, context: Context, params: Params) -> Origin:
    """Return the origin of what `workload` makes of the models it reads."""
    records = {data.record.number: data.record for data in context.rounds}
    inputs = (
        Input(member.round, member.client, sha256_of(records.get(member.round), member.client))
        for member in context.members
    )
    return Origin(workload, asdict(params), tuple(inputs))


def sha256_of(record: Round | None, client: str) -> str:
    """Return the hash of a model of a round, in hexadecimal; empty if the round has it not."""
    if record is None:
        return ""
    found = record.aggregate if client == AGGREGATE else {str(m.client): m for m in record.members}.get(client)
    return found.sha256 if found else ""
