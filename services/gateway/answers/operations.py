"""Long work: started now, asked about later.

An operation's record lies in the store. Its owner, one gateway, renews it while the work goes on; a record that is no
longer renewed belonged to a gateway that is gone, and the next gateway that comes upon it does the work again. That
is safe because workloads are deterministic and write nothing but content-named artifacts.
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from threading import Event, Lock
from typing import Any

from flstore_core.errors import Conflict, FLStoreError, NotFound, OperationCancelled, PreconditionFailed, unknown
from flstore_core.ids import JobId, object_name
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json_with_etag, save_json
from flstore_core.workloads import Progress

logger = logging.getLogger(__name__)

RUNNING, SUCCEEDED, FAILED, CANCELLED = "running", "succeeded", "failed", "cancelled"

PREFIX = "operations"
RENEW_S = 2.0
"""Seconds between renewals of a running operation's record."""
ABANDONED_S = 15.0
"""Age of a running operation's record at which its gateway counts as gone."""
KEPT_S = 86_400.0
"""Seconds for which a finished operation can be read."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One piece of long work. Times are seconds since the epoch."""

    id: str
    job: JobId
    workload: str
    params: Mapping[str, Any]
    state: str
    created_at: float
    renewed_at: float
    finished_at: float | None = None
    progress: float | None = None
    """From 0 to 1, where the workload tells."""
    result: Any = None
    problem: Mapping[str, Any] | None = None

    @property
    def question(self) -> tuple[str, str, str]:
        """What was asked."""
        return self.job, self.workload, json.dumps(self.params, sort_keys=True)


Work = Callable[[Operation, Progress], Any]
"""Does an operation's work and returns its result; calls the progress callback now and then."""


class _Running:
    """An operation under way here. Calling it reports progress, and ends the work if it was cancelled."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.cancelled = Event()
        self.lock = Lock()
        """Held while the record is written, so that a renewal never overwrites the end."""
        self.finished = False

    def __call__(self, done: int, total: int) -> None:
        if self.cancelled.is_set():
            raise OperationCancelled(f"operation {self.operation.id!r} was cancelled")
        self.operation = replace(self.operation, progress=done / max(total, 1))


class Operations:
    """Starts operations, keeps their records, takes over abandoned ones. Safe to share between threads.

    Args:
        workers: runs the work.
        now: seconds since the epoch.
    """

    def __init__(self, store: ObjectStore, workers: Executor, now: Callable[[], float], work: Work) -> None:
        self._store = store
        self._workers = workers
        self._now = now
        self._work = work
        self._mine: dict[str, _Running] = {}
        """Operations under way here."""
        self._lock = Lock()

    def start(self, job: JobId, workload: str, params: Mapping[str, Any], idempotency_key: str | None) -> Operation:
        """Start a workload and return its operation; with an idempotency key that was used before, return that one.

        Raises:
            Conflict: if the key was used for another question.
        """
        name = _derived(job, idempotency_key) if idempotency_key else uuid.uuid4().hex
        now = self._now()
        operation = Operation(name, job, workload, params, RUNNING, now, now)
        try:
            save_json(self._store, _key(name), asdict(operation), if_none_match=True)
        except PreconditionFailed:
            return _same_or_conflict(self.get(name), operation)
        self._submit(operation)
        return operation

    def get(self, name: str) -> Operation:
        """Return an operation as it stands, taking it over if its gateway is gone; raise `NotFound`."""
        operation, etag = self._load(object_name("operation", name))
        if operation.finished_at is not None and self._now() - operation.finished_at > KEPT_S:
            self._delete(operation.id)
            raise unknown("operation", name, ())
        if operation.state == RUNNING and self._now() - operation.renewed_at > ABANDONED_S:
            return self._take_over(operation, etag)
        return operation

    def cancel(self, name: str) -> Operation:
        """Ask for an operation to be given up; one that is finished stays as it is."""
        operation = self.get(name)
        if operation.state == RUNNING:
            save_json(self._store, _cancel_key(operation.id), {"at": self._now()})
            with self._lock:
                if mine := self._mine.get(operation.id):
                    mine.cancelled.set()
        return operation

    def renew(self) -> None:
        """Renew the records of what is under way here, and notice what was cancelled through another gateway."""
        with self._lock:
            mine = list(self._mine.values())
        for running in mine:
            self._renew(running)

    def sweep(self) -> None:
        """Take over what was abandoned and remove what has been kept long enough."""
        for info in list(self._store.list(PREFIX, recursive=False)):
            if info.key.endswith(".json"):
                try:
                    self.get(info.key.removeprefix(PREFIX + "/").removesuffix(".json"))
                except NotFound:
                    continue

    def _submit(self, operation: Operation) -> None:
        running = _Running(operation)
        with self._lock:
            self._mine[operation.id] = running
        self._workers.submit(self._run, running)

    def _run(self, running: _Running) -> None:
        operation = running.operation
        try:
            running(0, 1)
            done = replace(operation, state=SUCCEEDED, progress=1.0, result=self._work(operation, running))
        except OperationCancelled:
            done = replace(running.operation, state=CANCELLED)
        except FLStoreError as error:
            problem = {"code": error.code, "title": error.title, "status": error.status, "detail": error.detail}
            done = replace(operation, state=FAILED, problem={**error.extensions, **problem})
        except Exception:
            logger.exception("operation failed", extra={"operation": operation.id})
            problem = {"code": "internal", "status": 500, "detail": "the gateway's log has it under the operation's id"}
            done = replace(operation, state=FAILED, problem=problem)
        self._finish(running, replace(done, finished_at=self._now()))

    def _finish(self, running: _Running, done: Operation) -> None:
        with self._lock:
            self._mine.pop(done.id, None)
        with running.lock:
            running.finished = True
            try:
                save_json(self._store, _key(done.id), asdict(done))
            except FLStoreError as error:
                logger.error("operation's end not stored", extra={"operation": done.id, "error": error.detail})

    def _renew(self, running: _Running) -> None:
        name = running.operation.id
        if self._is_cancelled(name):
            running.cancelled.set()
        with running.lock:
            if not running.finished:
                save_json(self._store, _key(name), asdict(replace(running.operation, renewed_at=self._now())))

    def _is_cancelled(self, name: str) -> bool:
        try:
            self._store.stat(_cancel_key(name))
        except NotFound:
            return False
        return True

    def _take_over(self, operation: Operation, etag: str) -> Operation:
        mine = replace(operation, renewed_at=self._now())
        try:
            save_json(self._store, _key(operation.id), asdict(mine), if_match=etag)
        except PreconditionFailed:
            return self._load(operation.id)[0]
        logger.info("operation taken over", extra={"operation": operation.id})
        self._submit(mine)
        return mine

    def _load(self, name: str) -> tuple[Operation, str]:
        try:
            record, etag = load_json_with_etag(self._store, _key(name))
        except NotFound:
            raise unknown("operation", name, ()) from None
        return Operation(**record), etag

    def _delete(self, name: str) -> None:
        self._store.delete(_key(name))
        self._store.delete(_cancel_key(name))


def _same_or_conflict(earlier: Operation, asked: Operation) -> Operation:
    if earlier.question != asked.question:
        raise Conflict("this Idempotency-Key was used for another request; choose a new one")
    return earlier


def _derived(job: JobId, idempotency_key: str) -> str:
    return hashlib.sha256(f"{job}\n{idempotency_key}".encode()).hexdigest()[:32]


def _key(name: str) -> str:
    return f"{PREFIX}/{name}.json"


def _cancel_key(name: str) -> str:
    return f"{PREFIX}/{name}.cancel"
