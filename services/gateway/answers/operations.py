"""Long work: started now, asked about later.

An operation is a record in the object store. One gateway at a time owns it: it does the work and renews the record.
A record that is no longer renewed belonged to a gateway that is gone; the next gateway that reads it takes it over.

    (no record) ── start ──▶ running ── work ends ──▶ succeeded, failed or cancelled ── a day passes ──▶ (no record)
                             running ── every 2 s: renew ──▶ running
                             running ── more than 15 s without a renewal: take over ──▶ running, at another gateway

Example, times in seconds:

    0    POST at gateway A: A stores {running, renewed_at: 0} and works; it renews at 2, 4 and 6
    7    A is killed
    21   GET at gateway B: the renewal is 15 s old; A may still live
    22   GET at gateway B: the renewal is 16 s old; B replaces the record by {running, renewed_at: 22} and works
    30   B's work ends: B replaces the record by {succeeded, result}

Each step of an owner replaces the very version of the record that it saw last, by etag. So of two gateways that take
one operation over, one succeeds; and an owner that was only stopped for a while, and lost its operation meanwhile,
finds out at its next write and gives the work up: an end that was once readable stays. That some work is done twice is
safe: workloads are deterministic and write nothing but artifacts named by their content. Only deleting is
unconditional, since stores offer nothing else: a gateway that reads a record a day after its end, and is stopped
before it deletes it, may hit a new operation under the same idempotency key. While that one runs, its owner creates
its record again.

Anybody may cancel, and only the owner writes the record; so cancelling leaves a marker beside the record, which the
owner looks for whenever it renews.
"""

import hashlib
import logging
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from threading import Event, Lock
from typing import Any

from flstore_core.errors import Conflict, FLStoreError, NotFound, OperationCancelled, PreconditionFailed, unknown
from flstore_core.ids import JobId, object_name
from flstore_core.storage import ObjectStore
from flstore_core.workloads import Progress
from services.common.timing import Time
from services.gateway.answers.operation_records import (
    CANCELLED,
    FAILED,
    RUNNING,
    SUCCEEDED,
    Operation,
    OperationRecords,
)

logger = logging.getLogger(__name__)

RENEW_S = 2.0
"""Seconds between renewals of a running operation's record."""
ABANDONED_S = 15.0
"""Age of the last renewal, in seconds, beyond which an operation's gateway counts as gone."""
KEPT_S = 86_400.0
"""Seconds for which a finished operation can be read."""

Work = Callable[[Operation, Progress], Any]
"""Does an operation's work and returns its result as JSON values; calls the progress callback between steps."""


class _Running:
    """An operation that this gateway owns."""

    def __init__(self, operation: Operation, version: str) -> None:
        self.operation = operation
        self.version = version
        """Of the record as this gateway last wrote it."""
        self.cancelled = Event()
        self.lock = Lock()
        """Held while the record is written, so that no renewal comes after the end."""
        self.over = False
        """This gateway writes the record no more: the work has ended, or another gateway owns it."""

    def report(self, done: int, total: int) -> None:
        """Note the progress; raise `OperationCancelled` if the work is to be given up."""
        if self.cancelled.is_set():
            raise OperationCancelled(f"operation {self.operation.id!r} was cancelled")
        self.operation = replace(self.operation, progress=done / max(total, 1))


class Operations:
    """Starts operations, keeps their records, takes over abandoned ones. Safe to share between threads.

    Args:
        workers: runs the work.
    """

    def __init__(self, store: ObjectStore, workers: Executor, time: Time, work: Work) -> None:
        self._records = OperationRecords(store)
        self._workers = workers
        self._now = time.now
        self._work = work
        self._owned: dict[str, _Running] = {}
        self._lock = Lock()

    def start(
        self,
        job: JobId,
        workload: str,
        params: Mapping[str, Any],
        idempotency_key: str | None,
        *,
        read_only: bool = False,
    ) -> Operation:
        """Start a workload and return its operation; with an idempotency key that was used before, return that one.

        Raises:
            Conflict: if the key was used for another question.
        """
        name = _name_of(job, idempotency_key) if idempotency_key else uuid.uuid4().hex
        now = self._now()
        operation = Operation(name, job, workload, params, RUNNING, now, now, read_only=read_only)
        while True:
            try:
                version = self._records.create(operation)
            except PreconditionFailed:
                with suppress(NotFound):  # it was kept long enough, and reading it has just deleted it
                    return _check_question(self.find_or_take_over(name), operation)
            else:
                self._begin(_Running(operation, version))
                return operation

    def find_or_take_over(self, name: str) -> Operation:
        """Return an operation as it stands; take it over if its gateway is gone; raise `NotFound`."""
        operation, version = self._records.load(object_name("operation", name))
        if operation.finished_at is not None and self._now() - operation.finished_at > KEPT_S:
            self._records.delete(operation.id)
            raise unknown("operation", name, ())
        if self._is_abandoned(operation):
            return self._take_over(operation, version)
        return operation

    def cancel(self, name: str) -> Operation:
        """Ask for an operation to be given up, and return it as it stands; one that is finished stays as it is."""
        operation = self.find_or_take_over(name)
        if operation.state == RUNNING:
            self._records.mark_cancelled(operation.id, self._now())
            with self._lock:
                if running := self._owned.get(operation.id):
                    running.cancelled.set()
        return operation

    def renew(self) -> None:
        """Renew the records of this gateway's operations, and notice which were cancelled through another gateway."""
        with self._lock:
            owned = list(self._owned.values())
        for running in owned:
            if self._records.is_cancelled(running.operation.id):
                running.cancelled.set()
            self._write(running, replace(running.operation, renewed_at=self._now()))

    def sweep(self) -> None:
        """Take over what was abandoned, and delete what has been kept long enough."""
        for name in self._records.names():
            with suppress(NotFound):
                self.find_or_take_over(name)

    def _is_abandoned(self, operation: Operation) -> bool:
        with self._lock:
            owned_here = operation.id in self._owned
        late = self._now() - operation.renewed_at > ABANDONED_S
        return operation.state == RUNNING and late and not owned_here

    def _take_over(self, operation: Operation, version: str) -> Operation:
        renewed = replace(operation, renewed_at=self._now())
        try:
            running = _Running(renewed, self._records.replace(renewed, version))
        except PreconditionFailed:
            return self._records.load(operation.id)[0]
        logger.info("operation taken over", extra={"operation": operation.id})
        if self._records.is_cancelled(operation.id):
            running.cancelled.set()
        self._begin(running)
        return renewed

    def _begin(self, running: _Running) -> None:
        with self._lock:
            self._owned[running.operation.id] = running
        self._workers.submit(self._run, running)

    def _run(self, running: _Running) -> None:
        operation = running.operation
        try:
            running.report(0, 1)
            end = replace(operation, state=SUCCEEDED, progress=1.0, result=self._work(operation, running.report))
        except OperationCancelled:
            end = replace(running.operation, state=CANCELLED)
        except FLStoreError as error:
            problem = {"code": error.code, "title": error.title, "status": error.status, "detail": error.detail}
            end = replace(operation, state=FAILED, problem={**error.extensions, **problem})
        except Exception:
            logger.exception("operation failed", extra={"operation": operation.id})
            problem = {"code": "internal", "status": 500, "detail": "the gateway's log has it under the operation's id"}
            end = replace(operation, state=FAILED, problem=problem)
        self._finish(running, replace(end, finished_at=self._now()))

    def _finish(self, running: _Running, end: Operation) -> None:
        try:
            self._write(running, end)
        except FLStoreError as error:
            logger.error("operation's end not stored", extra={"operation": end.id, "error": error.detail})
        self._disown(running)

    def _write(self, running: _Running, operation: Operation) -> None:
        """Write the record, unless this gateway writes it no more."""
        with running.lock:
            if running.over:
                return
            running.over = operation.state != RUNNING
            version = self._replace(running, operation)
            if version is not None:
                running.version = version
                return
            running.over = True
        logger.warning("operation belongs to another gateway by now", extra={"operation": operation.id})
        running.cancelled.set()
        self._disown(running)

    def _replace(self, running: _Running, operation: Operation) -> str | None:
        """Replace the record and return its version; None if another gateway has replaced it meanwhile.

        A record that is gone is created again: whoever deleted it meant an earlier operation of that name.
        """
        try:
            return self._records.replace(operation, running.version)
        except PreconditionFailed:
            pass
        try:
            stored, version = self._records.load(operation.id)
            return version if stored == operation else None  # equal where the answer to our own write was lost
        except NotFound:
            with suppress(PreconditionFailed):
                return self._records.create(operation)
        return None

    def _disown(self, running: _Running) -> None:
        with self._lock:
            if self._owned.get(running.operation.id) is running:
                del self._owned[running.operation.id]


def _check_question(earlier: Operation, new: Operation) -> Operation:
    """Return the earlier operation; raise `Conflict` unless both answer the same question."""
    if earlier.question != new.question:
        raise Conflict("this Idempotency-Key was used for another request; choose a new one")
    return earlier


def _name_of(job: JobId, idempotency_key: str) -> str:
    return hashlib.sha256(f"{job}\n{idempotency_key}".encode()).hexdigest()[:32]
