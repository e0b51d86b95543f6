"""Puts an archive into a gateway, through the HTTP API. It may be stopped at any moment and started again.

**Before anything is sent**, all of the archive is checked, and what the gateway has under the job's name: a job of the
same tensors, whose rounds are each as the archive has them, or on the way there. Any other is left alone. So what an
earlier import has sent is the note of how far it came, and nothing of another job is added to or replaced.

**Then** come program and data sets and, in their order, the rounds: the updates, the aggregate, and the commit, with
the metrics, hyperparameters and base that the archive has. The gateway checks each upload as it does any other, and
computes the statistics anew.

What the gateway decides by itself comes out as it does there: names of uploads, and the times. How FLStore made an
aggregate is stored by the names of uploads, so these are translated.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flstore_core.archives.base import Progress, file_of, models_of, silent
from flstore_core.archives.facts import Bases, metrics_beside, updates_in
from flstore_core.archives.reading import Archive, opened
from flstore_core.archives.target import Target
from flstore_core.client import FLStore
from flstore_core.client.naming import Id
from flstore_core.errors import Conflict, InvalidArchive
from flstore_core.records import Member, Round, Updates

AT_ONCE = 4
"""Updates of a round that are sent at once."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    job: str
    fingerprint: str
    """Of the archive, see `Exported`."""
    rounds: int
    """Of the archive; the gateway has all of them now."""
    sent: int
    """Files that the gateway lacked."""
    nbytes: int
    """Of these files."""
    remarks: tuple[str, ...] = ()
    """What is not as in the archive."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def import_job(
    store: FLStore, path: Path, *, name: Id | None = None, fingerprint: str | None = None, progress: Progress = silent
) -> Imported:
    """Have `store` hold the job that is in an archive; what an earlier import has begun is gone on with.

    Args:
        name: of the job, if not the one it had.
        fingerprint: that the archive has to have (`Exported.fingerprint`).

    Raises:
        InvalidArchive: if the file is no whole archive, or has another fingerprint. Nothing was sent.
        Conflict: if there is another job of that name. Nothing was sent.
    """
    with opened(path) as archive:
        if fingerprint is not None and fingerprint.strip().lower() != archive.fingerprint:
            raise InvalidArchive(f"its fingerprint is {archive.fingerprint}, and not {fingerprint:.80}")
        archive.check(progress)
        target = Target.of(store, archive.manifest.job if name is None else name)
        target.require_same(archive)
        return _Import(store, archive, target, progress).run()


class _Import:
    """One import into a gateway whose job, if there is one, is that of the archive."""

    def __init__(self, store: FLStore, archive: Archive, target: Target, progress: Progress) -> None:
        self._store, self._archive, self._target = store, archive, target
        self._manifest, self._job = archive.manifest, target.job
        self._report, self._lock = progress, threading.Lock()
        self._moved = self._sent = self._nbytes = 0
        self._remarks: list[str] = []

    def run(self) -> Imported:
        self._create()
        self._put_files()
        bases = Bases()
        for number in self._manifest.rounds:
            record = self._archive.round(number)
            self._put_round(record, bases.name_of(record))
            bases.add(record)
        name, remarks = self._store.job(self._job).job, tuple(self._remarks)
        return Imported(name, self._archive.fingerprint, len(self._manifest.rounds), self._sent, self._nbytes, remarks)

    def _create(self) -> None:
        stated = updates_in(self._archive)
        self._is_open_to_find = stated is None
        if not self._target.exists:
            settings: dict[str, Any] = {**self._manifest.settings, "updates": stated}
            self._store.create_job(self._job, schema=self._manifest.schema, **settings)

    def _put_files(self) -> None:
        program, there = self._manifest.program, self._target
        if program and there.program is None:
            self._store.put_program(self._job, self._archive.body(program))
            self._count(program.nbytes)
        for name, file in self._manifest.datasets.items():
            if name not in there.datasets:
                self._store.put_dataset(self._job, name, self._archive.body(file))
                self._count(file.nbytes)

    def _put_round(self, record: Round, base: str | None) -> None:
        here = self._target.read_round(record.number)
        if here is None or not here.committed:
            self._put_models(record, here, base)
            if record.committed:
                self._commit(record, base)
        else:
            self._move(sum(member.nbytes for member in models_of(record)))

    def _put_models(self, record: Round, here: Round | None, base: str | None) -> None:
        stored = here.by_client if here else {}
        missing = [member for member in record.members if member.client not in stored]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="import") as pool:
            for _ in pool.map(lambda member: self._put_update(record, member, base), missing):
                pass
        if record.aggregate and not (here and here.aggregate):
            self._put_aggregate(record, record.aggregate, base)

    def _put_update(self, record: Round, member: Member, base: str | None) -> None:
        body, metrics = self._archive.body(file_of(member)), metrics_beside(self._archive, member, member.metrics)
        self._store.put_update(
            self._job, record.number, member.client, body, metrics=metrics, base=base, progress=self._mover()
        )
        self._count(member.nbytes)

    def _put_aggregate(self, record: Round, aggregate: Member, base: str | None) -> None:
        body = self._archive.body(file_of(aggregate))
        stored = self._target.aggregate_metrics(record)
        if stored.keys() < aggregate.metrics.keys():
            self._remarks.append(
                f"how the aggregate of round {record.number} was made is too long to be sent, and is left out"
            )
        metrics = metrics_beside(self._archive, aggregate, stored)
        self._store.put_aggregate(self._job, record.number, body, metrics=metrics, base=base, progress=self._mover())
        self._count(aggregate.nbytes)

    def _commit(self, record: Round, base: str | None) -> None:
        committed = self._store.commit(
            self._job,
            record.number,
            metrics=record.metrics,
            hyperparameters=record.hyperparameters,
            participants=[member.client for member in record.members],
            allow_empty=not (record.members or record.aggregate),
            base=base,
        )
        if difference := self._target.difference(record, committed):
            raise Conflict(f"job {self._job!r} is written by somebody else too: {difference}")
        said = Updates(self._manifest.settings["updates"])
        if self._is_open_to_find and (committed.updates or said) != (record.updates or said):
            self._remarks.append(
                f"the updates of round {record.number} count as {(committed.updates or said).value} now, and as "
                f"{(record.updates or said).value} before: the job does not say what they are"
            )

    def _count(self, nbytes: int) -> None:
        with self._lock:
            self._sent += 1
            self._nbytes += nbytes

    def _mover(self) -> Callable[[int, int], None]:
        """Return what is told how much of one file has moved; it may begin anew."""
        before = 0

        def moved(done: int, total: int) -> None:
            nonlocal before
            self._move(done - before)
            before = done

        return moved

    def _move(self, nbytes: int) -> None:
        with self._lock:
            self._moved += nbytes
            self._report("importing", self._moved, max(self._archive.nbytes, self._moved))
