"""Long work: started now, asked about later. An operation's record lies in the store, so any gateway can tell of it."""

import hashlib
import logging
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from typing import Any

from flstore_core.errors import Conflict, FLStoreError, NotFound, PreconditionFailed, unknown
from flstore_core.ids import JobId, object_name
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json, save_json

logger = logging.getLogger(__name__)

RUNNING, SUCCEEDED, FAILED = "running", "succeeded", "failed"


@dataclass(frozen=True, slots=True)
class Operation:
    """One piece of long work."""

    id: str
    job: JobId
    request: str
    """SHA-256 of what was asked, so that an Idempotency-Key used for something else is noticed."""
    state: str
    created_at: float
    """Seconds since the epoch."""
    finished_at: float | None = None
    result: Any = None
    problem: Mapping[str, Any] | None = None


class Operations:
    """Starts operations and keeps their records. Safe to share between threads.

    Args:
        workers: runs the work.
        now: seconds since the epoch.
    """

    def __init__(self, store: ObjectStore, workers: Executor, now: Callable[[], float]) -> None:
        self._store = store
        self._workers = workers
        self._now = now

    def start(self, job: JobId, asked: str, idempotency_key: str | None, work: Callable[[], Any]) -> Operation:
        """Start `work`, whose return value becomes the result; return the running operation.

        With an idempotency key that was used before, return that operation and start nothing.

        Raises:
            Conflict: if the key was used for another request.
        """
        request = hashlib.sha256(asked.encode()).hexdigest()
        name = _derived(job, idempotency_key) if idempotency_key else uuid.uuid4().hex
        operation = Operation(name, job, request, RUNNING, self._now())
        try:
            save_json(self._store, _key(name), asdict(operation), if_none_match=True)
        except PreconditionFailed:
            return _same_or_conflict(self.get(name), request)
        self._workers.submit(self._run, operation, work)
        return operation

    def get(self, name: str) -> Operation:
        """Return an operation as it stands; raise `NotFound`."""
        try:
            return Operation(**load_json(self._store, _key(object_name("operation", name))))
        except NotFound:
            raise unknown("operation", name, ()) from None

    def _run(self, operation: Operation, work: Callable[[], Any]) -> None:
        try:
            done = replace(operation, state=SUCCEEDED, result=work())
        except FLStoreError as error:
            problem = {"code": error.code, "title": error.title, "status": error.status, "detail": error.detail}
            done = replace(operation, state=FAILED, problem={**error.extensions, **problem})
        except Exception:
            logger.exception("operation failed", extra={"operation": operation.id})
            done = replace(
                operation, state=FAILED, problem={"code": "internal", "status": 500, "detail": "see the log"}
            )
        try:
            save_json(self._store, _key(operation.id), asdict(replace(done, finished_at=self._now())))
        except FLStoreError as error:
            logger.error("operation's end not stored", extra={"operation": operation.id, "error": error.detail})


def _same_or_conflict(earlier: Operation, request: str) -> Operation:
    if earlier.request != request:
        raise Conflict("this Idempotency-Key was used for another request; choose a new one")
    return earlier


def _derived(job: JobId, idempotency_key: str) -> str:
    return hashlib.sha256(f"{job}\n{idempotency_key}".encode()).hexdigest()[:32]


def _key(name: str) -> str:
    return f"operations/{name}.json"
