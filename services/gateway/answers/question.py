"""A question: a workload with its parameters, over the rounds that were read for it."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from flstore_core import __version__
from flstore_core.models.protocol import RunRequest
from flstore_core.patterns import Pattern
from flstore_core.records import Job
from flstore_core.workloads import ArtifactLink, Progress, RoundData, no_progress, pattern_of
from flstore_core.workloads.registry import AnyWorkload


class NotModified(Exception):
    """The caller has the answer already."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


@dataclass(frozen=True, slots=True)
class Options:
    """How a caller wants to be answered."""

    known_etag: str = ""
    """ETag of an answer that the caller has; the same answer again raises `NotModified`."""
    recompute: bool = False
    """Whether to compute the answer even if it was kept."""
    progress: Progress = no_progress
    may_write: bool = True
    """Whether the caller may write the job. A workload that writes a model is refused if not."""
    keep: Callable[[Sequence[RoundData], memoryview, str], ArtifactLink] | None = None
    """Takes the model that a workload makes, with the rounds that it read, in place of an artifact; see `Keep`."""


@dataclass(frozen=True)
class Question:
    """All that an answer follows from."""

    job: Job
    workload: AnyWorkload
    params: Any
    """The workload's own parameter class."""
    rounds: tuple[RoundData, ...]
    """Ascending."""
    erasures: frozenset[str] = frozenset()
    """The job's tombstones, as they were known before the rounds were read."""
    run: RunRequest | None = None
    """For a workload that runs models, the request to a predictor."""

    @property
    def pattern(self) -> Pattern:
        return pattern_of(self.workload, self.params)

    @cached_property
    def etag(self) -> str | None:
        """A hash of all that the answer follows from; None if a round is open, because the answer may then change."""
        if not all(round_.record.committed for round_ in self.rounds):
            return None
        question = [
            __version__,
            self.job.home,
            self.job.created_at,
            self.job.schema.digest,
            self.workload.name,
            asdict(self.params),
        ]
        inputs: list[Any] = [round_.record.digest for round_ in self.rounds]
        if self.run:
            inputs += [self.run.program, self.run.datasets, [ref.content for ref in self.run.models]]
        return hashlib.sha256(json.dumps([question, inputs], sort_keys=True).encode()).hexdigest()
