"""Operations: long work that a caller starts now and asks about later.

An operation is a record in the object store. One gateway at a time owns it: it does the work and renews the record.
If a record is no longer renewed, its gateway is gone, and the next gateway that reads the record takes it over.

    (no record) ── start ──▶ running ── work ends ──▶ succeeded, failed or cancelled ── a day passes ──▶ (no record)
                             running ── every 2 s: renew ──▶ running
                             running ── seen unchanged for more than 15 s: take over ──▶ running, at another gateway
                             running ── abandoned by a third gateway: set aside ──▶ failed

Example, times in seconds:

    0    POST at gateway A: A stores {running} and works; it renews at 2, 4 and 6
    5    GET at gateway B: B notes the record's version
    7    A is killed
    8    GET at gateway B: the record has another version, which B notes
    23   B has seen that version for 15 s; A may still live
    24   B replaces the record by {running, attempts: 2} and works
    30   B's work ends: B replaces the record by {succeeded, result}

No take-over compares the clocks of two machines. A gateway measures with its own clock for how long a record has kept
its version, and each renewal changes the record, whatever the clock of the renewing gateway says. Only the day after
which a finished operation is deleted is measured across machines, where seconds do not matter.

An operation may be *poisonous*: its work takes so much memory that the system kills the gateway. So an owner notes in
the record that the work has begun before it begins. Whoever takes over begun work counts another attempt, and after
`MAX_ATTEMPTS` the operation is set aside as failed. Work that still waited in a queue was no attempt.

Each step of an owner replaces the version of the record that it saw last, by etag. So if two gateways take over one
operation, only one succeeds. If an owner was only suspended for a while and lost its operation meanwhile, its next
write fails and it gives the work up, so an end that was once readable stays. It is safe that some work is done twice:
workloads are deterministic, and write nothing but artifacts that are named by their content.

**When a client is erased**, ended operations that read its rounds or name it are deleted. A running one may have read
what was erased, so it is put back to where it waits, under another version of its record. Its owner's next write fails
then, whatever it has computed, and some gateway takes it over and begins again. Work looks at the store when it begins,
so what begins after the erasure has changed the rounds reads them as they are now. **When the job is deleted**, its
operations are not found any more, because they belong to its generation; the next sweep deletes them.

Only deleting is unconditional, because stores offer nothing else. A gateway may read a record a day after its end, be
suspended, and then delete a new operation under the same idempotency key. While that one runs, its owner creates its
record again.

Anybody may cancel, but only the owner writes the record. So cancelling leaves a marker beside the record, and the owner
looks for it whenever it renews.
"""

import hashlib
import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Event, Lock
from typing import Any

from flstore_core.errors import (
    Conflict,
    FLStoreError,
    GatewaysLost,
    NewerFormat,
    NotFound,
    OperationCancelled,
    PreconditionFailed,
    unknown,
)
from flstore_core.ids import ClientId, JobId, object_name
from flstore_core.records import Job
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
    key_of,
)
from services.gateway.answers.queue import FairQueue

logger = logging.getLogger(__name__)

RENEW_S = 2.0
"""Seconds between renewals of a running operation's record."""
ABANDONED_S = 15.0
"""A gateway counts as gone when another one has seen its running operation's record unchanged for so many seconds."""
MAX_ATTEMPTS = 3
"""How many gateways may die while they do an operation's work. After that it is set aside."""
TICK_S = 0.001
"""Least difference between the times of two renewals."""
KEPT_S = 86_400.0
"""Seconds for which a finished operation can still be read."""

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


class Operations:
    """Starts operations, keeps their records, takes over abandoned ones. Safe to share between threads.

    Args:
        workers: runs the work.
        stands: says whether there still is the job that an operation is about.
    """

    def __init__(
        self,
        store: ObjectStore,
        workers: Executor,
        time: Time,
        work: Work,
        stands: Callable[[Operation], bool] = lambda operation: True,
    ) -> None:
        self._records = OperationRecords(store)
        self._queue = FairQueue(workers)
        self._now = time.now
        self._clock = time.monotonic
        self._work = work
        self._stands = stands
        self._owned: dict[str, _Running] = {}
        self._seen: dict[str, tuple[str, float]] = {}
        """Other gateways' running operations: the version of each record, and when it was first seen."""
        self._lock = Lock()

    def start(
        self,
        job: JobId,
        workload: str,
        params: Mapping[str, Any],
        idempotency_key: str | None,
        *,
        caller: str = "",
        read_only: bool = False,
        generation: str = "",
    ) -> Operation:
        """Start a workload and return its operation. If the idempotency key was used before, return the earlier one.

        Args:
            caller: whose work this is when callers take turns; "" counts it as the job's.
            generation: of the job.

        Raises:
            Conflict: if the key was used for another question.
            Busy: if too many operations wait already, of this caller or of all callers.
        """
        name = _name_of(job, generation, idempotency_key) if idempotency_key else uuid.uuid4().hex
        now = self._now()
        operation = Operation(
            name, job, workload, params, RUNNING, now, now, read_only=read_only, generation=generation
        )
        tenant = caller or job
        while True:
            # Room is checked before the record is created, so that a refusal leaves nothing behind. A repeat of an
            # earlier request takes no room, so it is answered even if there is none.
            if not self._queue.has_room(tenant):
                if idempotency_key and (earlier := self._find_earlier(operation)):
                    return earlier
                self._queue.check_room(tenant)
            try:
                version = self._records.create(operation)
            except PreconditionFailed:
                if earlier := self._find_earlier(operation):
                    return earlier
            else:
                self._begin(_Running(operation, version), tenant)
                return operation

    def find_or_take_over(self, name: str) -> Operation:
        """Return an operation as it is now; take it over if its gateway is gone. Raises `NotFound` if there is none."""
        operation, version = self._records.load(object_name("operation", name))
        if self._is_over(operation) or not self._stands(operation):
            self._records.delete(operation.id)
            raise unknown("operation", name, ())
        if self._is_abandoned(operation, version):
            return self._take_over(operation, version)
        return operation

    def _find_earlier(self, new: Operation) -> Operation | None:
        """Return the operation that has the name of a new one, if there is one."""
        try:
            return _check_question(self.find_or_take_over(new.id), new)
        except NotFound:  # perhaps because reading it found it a day old, and deleted it
            return None

    def cancel(self, name: str) -> Operation:
        """Ask for an operation to be given up, and return it as it is now. A finished one stays as it is."""
        operation = self.find_or_take_over(name)
        if operation.state == RUNNING:
            self._records.mark_cancelled(operation.id, self._now())
            with self._lock:
                if running := self._owned.get(operation.id):
                    running.cancelled.set()
        return operation

    def renew(self) -> None:
        """Renew the records of this gateway's operations, and notice which ones were cancelled through other gateways.

        Also take over operations whose gateways have stopped to renew them.
        """
        with self._lock:
            owned = list(self._owned.values())
            silent = [name for name, (_, since) in self._seen.items() if self._clock() - since > ABANDONED_S]
        for running in owned:
            if self._records.is_cancelled(running.operation.id):
                running.cancelled.set()
            self._write(running, running.renewed(self._now()))
        self._look_at(silent)

    def sweep(self) -> None:
        """Look at all operations: take over abandoned ones, and delete those that ended more than a day ago."""
        names = self._records.names()
        with self._lock:
            self._seen = {name: seen for name, seen in self._seen.items() if name in set(names)}
        self._look_at(names)

    def forget_client(self, job: Job, client: ClientId, rounds: Collection[int]) -> list[str]:
        """Delete a job's ended operations that may have something of a client in these rounds, and begin running ones
        again; return the keys of those that were deleted, or lost what they had done.
        """
        names = self._records.names()
        return [key_of(name) for name in names if self._forget_client(name, job, client, rounds)]

    def _forget_client(self, name: str, job: Job, client: ClientId, rounds: Collection[int]) -> bool:
        while True:
            try:
                operation, version = self._records.load(name)
            except NotFound:
                return False
            if not _is_of(operation, job):
                return False
            if operation.state != RUNNING:
                concerned = operation.mentions(client) or operation.read_any(rounds)
                if concerned:
                    self._records.delete(name)
                return concerned
            with suppress(PreconditionFailed):
                self._records.replace(_begun_again(operation, client, self._now()), version)
                return True

    def _is_over(self, operation: Operation) -> bool:
        return operation.finished_at is not None and self._now() - operation.finished_at > KEPT_S

    def _look_at(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(NotFound, NewerFormat):  # an operation of a later version is for its gateways
                self.find_or_take_over(name)

    def _is_abandoned(self, operation: Operation, version: str) -> bool:
        """Return whether this gateway has seen a running operation's record unchanged for over `ABANDONED_S` seconds.

        The first look at a version only notes it, so a gateway that has just started takes nothing over.
        """
        now = self._clock()
        with self._lock:
            if operation.state != RUNNING or operation.id in self._owned:
                self._seen.pop(operation.id, None)
                return False
            seen_version, since = self._seen.get(operation.id, ("", now))
            if seen_version != version:
                self._seen[operation.id] = version, now
                return False
        return now - since > ABANDONED_S

    def _take_over(self, operation: Operation, version: str) -> Operation:
        """Make this gateway the owner and return the operation, or return it as it is now if that is not possible."""
        begun = operation.progress is not None  # the owner notes 0 before it begins, so None is work that only waited
        if begun and operation.attempts >= MAX_ATTEMPTS:
            return self._set_aside(operation, version)
        if not self._queue.has_room(operation.job):
            return operation
        renewed = replace(
            operation, renewed_at=self._now(), progress=None, attempts=operation.attempts + (1 if begun else 0)
        )
        try:
            running = _Running(renewed, self._records.replace(renewed, version))
        except PreconditionFailed:
            return self._records.load(operation.id)[0]
        logger.info("operation taken over", extra={"operation": operation.id, "attempt": renewed.attempts})
        if self._records.is_cancelled(operation.id):
            running.cancelled.set()
        self._begin(running, operation.job)
        return renewed

    def _set_aside(self, operation: Operation, version: str) -> Operation:
        """End an operation as failed, because `MAX_ATTEMPTS` gateways have died while they worked on it."""
        error = GatewaysLost(
            f"{operation.attempts} gateways ended while they worked on this, probably by running out of memory; "
            "ask for less, such as fewer groups, restarts or rounds"
        )
        end = replace(operation, state=FAILED, problem=_problem(error), finished_at=self._now())
        try:
            self._records.replace(end, version)
        except PreconditionFailed:
            return self._records.load(operation.id)[0]
        logger.error("operation set aside", extra={"operation": operation.id, "attempts": operation.attempts})
        return end

    def _begin(self, running: _Running, tenant: str) -> None:
        with self._lock:
            self._owned[running.operation.id] = running
            self._seen.pop(running.operation.id, None)
        self._queue.submit(tenant, partial(self._run, running))

    def _run(self, running: _Running) -> None:
        operation = running.operation
        try:
            self._note_begun(running)
            running.report(0, 1)
            end = replace(operation, state=SUCCEEDED, progress=1.0, result=self._work(operation, running.report))
        except OperationCancelled:
            end = replace(running.operation, state=CANCELLED)
        except FLStoreError as error:
            end = replace(operation, state=FAILED, problem=_problem(error))
        except Exception:
            logger.exception("operation failed", extra={"operation": operation.id})
            problem = {"code": "internal", "status": 500, "detail": "the gateway's log has it under the operation's id"}
            end = replace(operation, state=FAILED, problem=problem)
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


def _problem(error: FLStoreError) -> Mapping[str, Any]:
    problem = {"code": error.code, "title": error.title, "status": error.status, "detail": error.detail}
    return {**error.extensions, **problem}


def _check_question(earlier: Operation, new: Operation) -> Operation:
    """Return the earlier operation; raise `Conflict` unless both answer the same question."""
    if earlier.question != new.question:
        raise Conflict("this Idempotency-Key was used for another request; choose a new one")
    return earlier


def _is_of(operation: Operation, job: Job) -> bool:
    return (operation.job, operation.generation) == (job.id, job.generation)


def _begun_again(operation: Operation, client: ClientId, now: float) -> Operation:
    """Return a running operation as one that waits; or as failed and without parameters, if these name the client."""
    renewed_at = max(now, operation.renewed_at + TICK_S)  # the record has to change, whatever the clock says
    if not operation.mentions(client):
        return replace(operation, progress=None, renewed_at=renewed_at)
    problem = _problem(NotFound("a client that the parameters name was erased"))
    return replace(
        operation, state=FAILED, params={}, problem=problem, progress=None, renewed_at=renewed_at, finished_at=now
    )


def _name_of(job: JobId, generation: str, idempotency_key: str) -> str:
    life = f"{job}/{generation}" if generation else job
    return hashlib.sha256(f"{life}\n{idempotency_key}".encode()).hexdigest()[:32]
