"""Stores operations: a record for each, and beside it a marker once somebody has asked to cancel it."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from flstore_core.errors import FLStoreError, NotFound, unknown
from flstore_core.formats import LATER, Record, from_known, without_defaults
from flstore_core.ids import ClientId, JobId
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json_with_etag, save_json

PREFIX = "operations"

_SINCE_VERSION_1: Final = ("read_only", "attempts", "generation")

TICK_S = 0.001
"""Least difference between the times of two renewals."""

RUNNING, SUCCEEDED, FAILED, CANCELLED = "running", "succeeded", "failed", "cancelled"


@dataclass(frozen=True, slots=True)
class Operation(Record):
    """One piece of long work. Times are seconds since the epoch."""

    id: str
    job: JobId
    workload: str
    params: Mapping[str, Any]
    state: str
    created_at: float
    renewed_at: float
    """When its gateway last renewed the record, by that gateway's clock. It grows with every renewal."""
    finished_at: float | None = None
    progress: float | None = None
    """From 0 to 1, where the workload reports it."""
    result: Any = None
    problem: Mapping[str, Any] | None = None
    """Why it failed, in the fields of a problem document."""
    read_only: bool = False
    """Whether its caller may only read the job. If so, it writes no model, whichever gateway works on it."""
    attempts: int = 1
    """How many gateways have begun the work. All but the last one ended before the work did."""
    generation: str = ""
    """Of the job. When the job is deleted, its operations have ended, whatever becomes of a job of the same name."""

    @property
    def question(self) -> tuple[str, str, str, bool]:
        """What two requests have in common if they ask for the same: job, workload, parameters, and right to write."""
        return self.job, self.workload, json.dumps(self.params, sort_keys=True), self.read_only

    def describe(self) -> dict[str, Any]:
        """Return the operation as its callers see it."""
        return {name: value for name, value in self._values().items() if name != "generation"}

    def mentions(self, client: ClientId) -> bool:
        """Say whether a client's name stands anywhere in the parameters, the result or the problem."""
        said = json.dumps([self.params, self.result, self.problem], ensure_ascii=False, default=str)
        return re.search(rf"(?<![A-Za-z0-9._-]){re.escape(client)}(?![A-Za-z0-9._-])", said) is not None

    def read_any(self, rounds: Collection[int]) -> bool:
        """Say whether the result was made of one of these rounds, or may have been."""
        if self.result is None:
            return False
        numbers = self.result.get("rounds") if isinstance(self.result, dict) else None
        return numbers is None or not set(rounds).isdisjoint(numbers)

    def to_json(self) -> dict[str, Any]:
        """Return the operation as it is stored.

        What version 0.1.0 does not know is in `problem`: that version would end if it were among the other fields. In
        there it ignores it, and leaves it in the record when it takes the operation over.
        """
        record = {**self.unknown, **self._values()}
        later = record.pop(LATER, {}) | {name: record.pop(name) for name in _SINCE_VERSION_1 if name in record}
        return record | {"problem": {**(self.problem or {}), LATER: later}} if later else record

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Operation":
        problem = dict(data["problem"] or {})
        later = dict(problem.pop(LATER, {}))
        known = {name: later.pop(name) for name in _SINCE_VERSION_1 if name in later}
        operation = from_known(cls, {**data, **known, "problem": problem or None})
        return replace(operation, unknown={**operation.unknown, LATER: later}) if later else operation

    def _values(self) -> dict[str, Any]:
        values = without_defaults(self, asdict(self), _SINCE_VERSION_1)
        del values["unknown"]
        return values


class OperationRecords:
    """Reads and writes operations' records. A record's version is its etag in the store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def create(self, operation: Operation) -> str:
        """Store a new record and return its version; raise `PreconditionFailed` if there is one."""
        return save_json(self._store, key_of(operation.id), operation.to_json(), if_none_match=True).etag

    def replace(self, operation: Operation, version: str) -> str:
        """Replace the record's `version` and return the new one; raise `PreconditionFailed` if it has another."""
        return save_json(self._store, key_of(operation.id), operation.to_json(), if_match=version).etag

    def load(self, name: str) -> tuple[Operation, str]:
        """Return an operation and its record's version; raise `NotFound`."""
        try:
            record, version = load_json_with_etag(self._store, key_of(name))
        except NotFound:
            raise unknown("operation", name, ()) from None
        return Operation.from_json(record), version

    def delete(self, name: str) -> None:
        """Delete marker and record. The record goes last: a marker left alone would cancel a later operation."""
        self._store.delete(_marker(name))
        self._store.delete(key_of(name))

    def names(self) -> list[str]:
        """Return the names of all operations."""
        keys = [info.key for info in self._store.list(PREFIX, recursive=False)]
        return [key.removeprefix(PREFIX + "/").removesuffix(".json") for key in keys if key.endswith(".json")]

    def mark_cancelled(self, name: str, at: float) -> None:
        """Store the marker that asks the operation's gateway to give it up."""
        save_json(self._store, _marker(name), {"at": at})

    def is_cancelled(self, name: str) -> bool:
        """Return whether somebody asked to cancel the operation."""
        try:
            self._store.stat(_marker(name))
        except NotFound:
            return False
        return True


def problem_of(error: FLStoreError) -> Mapping[str, Any]:
    """Return an error in the fields of a problem document."""
    problem = {"code": error.code, "title": error.title, "status": error.status, "detail": error.detail}
    return {**error.extensions, **problem}


def key_of(name: str) -> str:
    """Return the key of an operation's record."""
    return f"{PREFIX}/{name}.json"


def _marker(name: str) -> str:
    return f"{PREFIX}/{name}.cancel"
