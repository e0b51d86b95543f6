"""Does the work of the operations that this gateway owns, and renews their records until the work ends.

The module `operations` says who owns what, and when that changes.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Event, Lock
from typing import Any

from flstore_core.errors import FLStoreError, NotFound, OperationCancelled, PreconditionFailed
from flstore_core.workloads import Progress
from services.gateway.answers.operation_records import (
    CANCELLED,
    FAILED,
    RUNNING,
    SUCCEEDED,
    TICK_S,
    Operation,
    OperationRecords,
    problem_of,
)
from services.gateway.answers.queue import FairQueue

logger = logging.getLogger(__name__)

INTERNAL = {"code": "internal", "status": 500, "detail": "the gateway's log has it under the operation's id"}

Work = Callable[[Operation, Progress], Any]
"""Does an operation's work and returns its result as JSON values; calls the progress callback between steps."""


class _Running:
    """An operation that this gateway owns."""

    def __init__(self, operation: Operation, version: str) -> None:
        self.operation = operation
        self.version = version
        """Version of the record as this gateway last wrote it."""
        self._renewed_at = operation.renewed_at
        self.cancelled = Event()
        self.lock = Lock()
        """Held while the record is written, so that no renewal overwrites the end."""
        self.over = False
        """Whether this gateway no longer writes the record: the work has ended, or another gateway owns it."""

    def renewed(self, now: float) -> Operation:
        """Return the operation, renewed now. Its time grows even if the clock does not, so each renewal is a change."""
        self._renewed_at = max(now, self._renewed_at + TICK_S)
        return replace(self.operation, renewed_at=self._renewed_at)

    def report(self, done: int, total: int) -> None:
        """Note the progress; raise `OperationCancelled` if the work has to be given up."""
        if self.cancelled.is_set():
            raise OperationCancelled(f"operation {self.operation.id!r} was cancelled")
        self.operation = replace(self.operation, progress=done / max(total, 1))


class Owner:
    """The operations of this gateway. Safe to share between threads."""

    def __init__(self, records: OperationRecords, queue: FairQueue, now: Callable[[], float], work: Work) -> None:
        self._records = records
        self._queue = queue
        self._now = now
        self._work = work
        self._owned: dict[str, _Running] = {}
        self._lock = Lock()

    def owns(self, name: str) -> bool:
        return name in self._owned

    def begin(self, operation: Operation, version: str, tenant: str, *, cancelled: bool = False) -> None:
        """Own an operation from now on, and do its work when it is the tenant's turn.

        Args:
            version: of the record that this gateway has written.
            cancelled: whether somebody has asked to give it up.
        """
        running = _Running(operation, version)
        if cancelled:
            running.cancelled.set()
        with self._lock:
            self._owned[operation.id] = running
        self._queue.submit(tenant, partial(self._run, running))

    def cancel(self, name: str) -> None:
        """Have an operation given up at its next step, if this gateway owns it."""
        with self._lock:
            if running := self._owned.get(name):
                running.cancelled.set()

    def renew(self) -> None:
        """Renew all records, and notice which operations were cancelled through other gateways."""
        with self._lock:
            owned = list(self._owned.values())
        for running in owned:
            if self._records.is_cancelled(running.operation.id):
                running.cancelled.set()
            self._write(running, running.renewed(self._now()))

    def _run(self, running: _Running) -> None:
        operation = running.operation
        try:
            self._note_begun(running)
            running.report(0, 1)
            end = replace(operation, state=SUCCEEDED, progress=1.0, result=self._work(operation, running.report))
        except OperationCancelled:
            end = replace(running.operation, state=CANCELLED)
        except FLStoreError as error:
            end = replace(operation, state=FAILED, problem=problem_of(error))
        except Exception:
            logger.exception("operation failed", extra={"operation": operation.id})
            end = replace(operation, state=FAILED, problem=INTERNAL)
        self._finish(running, replace(end, finished_at=self._now()))

    def _note_begun(self, running: _Running) -> None:
        running.operation = replace(running.operation, progress=0.0)
        try:
            self._write(running, running.renewed(self._now()))
        except FLStoreError as error:
            logger.warning(
                "operation's begin not stored", extra={"operation": running.operation.id, "error": str(error)}
            )

    def _finish(self, running: _Running, end: Operation) -> None:
        try:
            self._write(running, end)
        except FLStoreError as error:
            logger.error("operation's end not stored", extra={"operation": end.id, "error": error.detail})
        self._disown(running)

    def _write(self, running: _Running, operation: Operation) -> None:
        """Write the record, unless this gateway no longer owns it."""
        with running.lock:
            if running.over:
                return
            # Before the write: if its outcome stays unknown, no renewal may follow that turns an end into "running".
            running.over = operation.state != RUNNING
            version = self._replace(running, operation)
            if version is not None:
                running.version = version
                return
            running.over = True
        logger.warning("operation now belongs to another gateway", extra={"operation": operation.id})
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
            # They are equal if our own write succeeded, but the store's answer was lost and the write was repeated.
            return version if stored == operation else None
        except NotFound:
            with suppress(PreconditionFailed):
                return self._records.create(operation)
        return None

    def _disown(self, running: _Running) -> None:
        with self._lock:
            # This gateway may have lost the operation and taken it over again. The new `_Running` stays.
            if self._owned.get(running.operation.id) is running:
                del self._owned[running.operation.id]
