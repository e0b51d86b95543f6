"""The wire between gateways and predictors. What predictors share with shards stands in `flstore_core.shard.protocol`.

A short run is answered like a shard's map: a safetensors body, with `WORK_HEADER`. The answer to a long one has the
type `STREAM_TYPE` and is lines of JSON objects with one key each, `PROGRESS` again and again, for example

    {"progress":[3,10]}
    {"progress":[7,10]}
    {"work":{"hits":1,"misses":0,…}}

and behind the line of `WORK` the safetensors body; or else the last line is a `PROBLEM` and nothing follows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from flstore_core.formats import require_format
from flstore_core.ids import MAX_ROUND, ClientId, JobId
from flstore_core.model_names import ModelName
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.records import Member

RUN: Final = "/v1/run"
"""POST a `RunRequest`: run a workload's `run` over whole models."""
STREAM_TYPE: Final = "application/vnd.flstore.run"
"""Media type of the answer to a long run."""
PROGRESS: Final = "progress"
"""Key of a line: how many steps are done, and of how many."""
WORK: Final = "work"
"""Key of the last line before the body: what the run took, as `Work`."""
PROBLEM: Final = "problem"
"""Key of the last line of a run that failed: the problem as RFC 9457 has it."""

ARTIFACT: Final = "artifact:"
"""Prefix of the cache's member names for artifacts; no client's name contains a colon."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Where a model's bytes are, and which bytes are meant."""

    name: ModelName
    sha256: str
    data_offset: int | None = None
    """First byte of the data section; None if only the file's header says it."""
    num_examples: float = 1.0
    base: "ModelRef | None" = None
    """The model to add, if the bytes are a difference from it."""
    upload: str = ""
    """Names the upload that brought the model, and is part of the key of its tensors."""

    @classmethod
    def of(cls, name: ModelName, member: Member, base: "ModelRef | None" = None) -> "ModelRef":
        return cls(name, member.sha256, member.data_offset, member.num_examples, base, member.upload)

    @property
    def content(self) -> str:
        """What the model's weights follow from: the hash of its bytes, and that of its base."""
        return f"{self.sha256}+{self.base.sha256}" if self.base else self.sha256

    def key(self, job: JobId) -> Key:
        if self.name.artifact:
            return Key(job, MAX_ROUND, ARTIFACT + self.name.artifact)
        return Key(job, self.name.round, self.name.client)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Asks for a workload's `run`."""

    job: JobId
    digest: str
    """Of the job's schema."""
    program: str
    """SHA-256 of the exported program, in hexadecimal."""
    datasets: Mapping[str, str]
    """SHA-256 of each data set that may be read, by name."""
    workload: str
    pattern: Pattern
    params: Mapping[str, Any]
    models: tuple[ModelRef, ...]
    generation: str | None = None
    """Of the job; None accepts any."""

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "generation" or value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RunRequest":
        require_format("a message", data)
        return cls(
            JobId(data["job"]),
            data["digest"],
            data["program"],
            data["datasets"],
            data["workload"],
            Pattern(data["pattern"]),
            data["params"],
            tuple(_ref(entry) for entry in data["models"]),
            data.get("generation"),
        )


def _ref(data: Mapping[str, Any]) -> ModelRef:
    name = data["name"]
    named = ModelName(name["round"], ClientId(name["client"]), name["artifact"])
    base = _ref(data["base"]) if data.get("base") else None  # gateways of version 0.1.0 send none
    upload = data.get("upload", "")
    return ModelRef(named, data["sha256"], data["data_offset"], data["num_examples"], base, upload)
