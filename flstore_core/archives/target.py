"""The job that an archive is put into, as the gateway has it: none, or the archive's own, as far as it came."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flstore_core.archives.base import File, models_of
from flstore_core.archives.facts import updates_in
from flstore_core.archives.job_files import read_datasets, read_program
from flstore_core.archives.reading import Archive
from flstore_core.client import FLStore, JobInfo
from flstore_core.client.naming import Id
from flstore_core.errors import Conflict, NotFound
from flstore_core.records import Metrics, Round
from flstore_core.schema import Schema
from flstore_core.workloads.shared.making import METRIC, renamed

MAX_MADE_BYTES = 60_000
"""Longest making of an aggregate that is sent: a gateway takes 64 KiB of metrics from outside, in a header."""


@dataclass(frozen=True)
class Target:
    """A job by its name, whether it exists or not."""

    store: FLStore
    job: Id
    info: JobInfo | None = None
    program: File | None = None
    datasets: Mapping[str, File] = field(default_factory=dict)
    rounds: frozenset[int] = frozenset()

    @classmethod
    def of(cls, store: FLStore, job: Id) -> "Target":
        try:
            info = store.job(job)
        except NotFound:
            return cls(store, job)
        return cls(
            store,
            job,
            info,
            read_program(store, job),
            read_datasets(store, job),
            frozenset(each.round for each in store.rounds(job)),
        )

    @property
    def exists(self) -> bool:
        return self.info is not None

    def read_round(self, number: int) -> Round | None:
        """Return the record of a round; None if it was not there when the target was first looked at."""
        return self.store.round(self.job, number) if number in self.rounds else None

    def require_same(self, archive: Archive) -> None:
        """Raise `Conflict` if the job has anything that the archive has not, or has otherwise."""
        for difference in self._differences(archive):
            raise Conflict(
                f"there is another job {str(self.job)!r}: {difference}; import the archive under another name"
            )

    def difference(self, record: Round, here: Round) -> str | None:
        """Return how a committed round is another one than the archive's, or an open one not on the way there."""
        number = record.number
        if here.committed and not record.committed:
            return f"its round {number} is committed"
        if here.committed and (here.metrics, here.hyperparameters) != (record.metrics, record.hyperparameters):
            return f"its round {number} was committed with other metrics or hyperparameters"
        wanted, there = self._facts(record, here), self._facts(here, here)
        if here.committed and len(there) < len(wanted):
            return f"its round {number} was committed without {sorted(wanted.keys() - there.keys())[0]!r:.140}"
        others = sorted(client for client, facts in there.items() if wanted.get(client) != facts)
        return f"its round {number} has another model of {others[0]!r:.140}" if others else None

    def aggregate_metrics(self, record: Round) -> Metrics:
        """Return the metrics that the aggregate of a round is to have, once its updates are there."""
        metrics = record.aggregate.metrics if record.aggregate else {}
        if METRIC not in metrics or not record.members:
            return metrics
        return self._translated(record, self.store.round(self.job, record.number))

    def _differences(self, archive: Archive) -> Iterator[str]:
        if self.info is None:
            return
        yield from self._other_settings(self.info, archive)
        manifest = archive.manifest
        if self.program and self.program != manifest.program:
            yield "it has another program"
        for name, file in self.datasets.items():
            if manifest.datasets.get(name) != file:
                yield f"it has another data set {name!r}"
        for number in sorted(self.rounds):
            here = self.store.round(self.job, number)
            if number in manifest.rounds:
                difference = self.difference(archive.round(number), here)
                yield from [difference] if difference else []
            elif here.committed or any(True for _ in models_of(here)):
                yield f"it has a round {number}"

    def _other_settings(self, info: JobInfo, archive: Archive) -> Iterator[str]:
        """Yield how settings differ by which answers come out as they do. The others are about its place in memory."""
        manifest = archive.manifest
        if Schema.from_json(info.schema) != manifest.schema:
            yield "its tensors are others"
        wanted = {**manifest.settings, "updates": updates_in(archive) or manifest.settings["updates"]}
        for name in ("updates", "statistics", "weight_key"):
            if (has := getattr(info, name)) != wanted[name]:
                yield f"its {name} is {has!r}, and not {wanted[name]!r}"

    def _facts(self, record: Round, here: Round) -> Mapping[str, tuple[str, Metrics]]:
        """Return what makes each model of a round what it is, by its client."""
        facts = {str(member.client): (member.sha256, member.metrics) for member in record.members}
        if aggregate := record.aggregate:
            facts[str(aggregate.client)] = (aggregate.sha256, self._translated(record, here))
        return facts

    def _translated(self, record: Round, here: Round) -> Metrics:
        """Return the metrics of a round's aggregate, with the names that its updates have here."""
        has_all = here.by_client.keys() >= record.by_client.keys()
        metrics = renamed(record, here) if has_all else record.aggregate.metrics if record.aggregate else {}
        too_long = len(json.dumps(metrics.get(METRIC))) > MAX_MADE_BYTES
        return {name: value for name, value in metrics.items() if name != METRIC or not too_long}
