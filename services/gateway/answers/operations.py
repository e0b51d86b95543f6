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
from threading import Lock
from typing import Any

from flstore_core.errors import (
    Conflict,
    GatewaysLost,
    NewerFormat,
    NotFound,
    PreconditionFailed,
    unknown,
)
from flstore_core.ids import ClientId, JobId, object_name
from flstore_core.records import Job
from flstore_core.storage import ObjectStore
from services.common.timing import Time
from services.gateway.answers.operation_records import (
    FAILED,
    RUNNING,
    TICK_S,
    Operation,
    OperationRecords,
    key_of,
    problem_of,
)
from services.gateway.answers.ownership import Owner, Work
from services.gateway.answers.queue import FairQueue

logger = logging.getLogger(__name__)

RENEW_S = 2.0
"""Seconds between renewals of a running operation's record."""
ABANDONED_S = 15.0
"""A gateway counts as gone when another one has seen its running operation's record unchanged for so many seconds."""
MAX_ATTEMPTS = 3
"""How many gateways may die while they do an operation's work. After that it is set aside."""
KEPT_S = 86_400.0
"""Seconds for which a finished operation can still be read."""


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
        self._stands = stands
        self._owner = Owner(self._records, self._queue, time.now, work)
        self._sightings = Sightings(time.monotonic)

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
                self._owner.begin(operation, version, tenant)
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
            self._owner.cancel(operation.id)
        return operation

    def renew(self) -> None:
        """Renew the records of this gateway's operations, and notice which ones were cancelled through other gateways.

        Also take over operations whose gateways have stopped to renew them.
        """
        self._owner.renew()
        self._look_at(self._sightings.unchanged_for(ABANDONED_S))

    def sweep(self) -> None:
        """Look at all operations: take over abandoned ones, and delete those that ended more than a day ago."""
        names = self._records.names()
        self._sightings.keep(names)
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

    def _is_abandoned(self, operation: Operation, version: str) -> bool:
        if operation.state != RUNNING or self._owner.owns(operation.id):
            self._sightings.forget(operation.id)
            return False
        return self._sightings.see(operation.id, version) > ABANDONED_S

    def _is_over(self, operation: Operation) -> bool:
        return operation.finished_at is not None and self._now() - operation.finished_at > KEPT_S

    def _look_at(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(NotFound, NewerFormat):  # an operation of a later version is for its gateways
                self.find_or_take_over(name)

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
            version = self._records.replace(renewed, version)
        except PreconditionFailed:
            return self._records.load(operation.id)[0]
        logger.info("operation taken over", extra={"operation": operation.id, "attempt": renewed.attempts})
        cancelled = self._records.is_cancelled(operation.id)
        self._owner.begin(renewed, version, operation.job, cancelled=cancelled)
        return renewed

    def _set_aside(self, operation: Operation, version: str) -> Operation:
        """End an operation as failed, because `MAX_ATTEMPTS` gateways have died while they worked on it."""
        error = GatewaysLost(
            f"{operation.attempts} gateways ended while they worked on this, probably by running out of memory; "
            "ask for less, such as fewer groups, restarts or rounds"
        )
        end = replace(operation, state=FAILED, problem=problem_of(error), finished_at=self._now())
        try:
            self._records.replace(end, version)
        except PreconditionFailed:
            return self._records.load(operation.id)[0]
        logger.error("operation set aside", extra={"operation": operation.id, "attempts": operation.attempts})
        return end


class Sightings:
    """How long other gateways' running operations have kept the version of their records. Safe to share."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}
        """By operation: the version, and when it was first seen."""
        self._lock = Lock()

    def see(self, name: str, version: str) -> float:
        """Note a record's version, and return for how many seconds it has been seen unchanged.

        The first look returns 0, so a gateway that has just started takes nothing over.
        """
        now = self._clock()
        with self._lock:
            seen, since = self._seen.get(name, ("", now))
            if seen != version:
                self._seen[name] = version, now
                return 0.0
        return now - since

    def unchanged_for(self, seconds: float) -> list[str]:
        """Return the operations whose records have been seen unchanged for longer."""
        with self._lock:
            return [name for name, (_, since) in self._seen.items() if self._clock() - since > seconds]

    def keep(self, names: Collection[str]) -> None:
        """Forget all operations but these."""
        with self._lock:
            self._seen = {name: self._seen[name] for name in names if name in self._seen}

    def forget(self, name: str) -> None:
        with self._lock:
            self._seen.pop(name, None)


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
    problem = problem_of(NotFound("a client that the parameters name was erased"))
    return replace(
        operation, state=FAILED, params={}, problem=problem, progress=None, renewed_at=renewed_at, finished_at=now
    )


def _name_of(job: JobId, generation: str, idempotency_key: str) -> str:
    life = f"{job}/{generation}" if generation else job
    return hashlib.sha256(f"{life}\n{idempotency_key}".encode()).hexdigest()[:32]
