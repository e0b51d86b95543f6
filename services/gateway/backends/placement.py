"""Follows the placement table: whom to ask for which slice."""

import json
import logging
from collections.abc import Mapping
from threading import Lock
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from flstore_core import layout
from flstore_core.errors import FLStoreError, Unavailable, from_problem
from flstore_core.ids import JobId, ShardId
from flstore_core.placement.base import Assignment, Table
from flstore_core.placement.rendezvous import order
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json

logger = logging.getLogger(__name__)

ZERO = "zero"
"""State of a shard that has no process, and so nothing in memory."""

LONG_POLL_S = 20.0
"""Seconds that the controller may hold a question for news."""


class Placement:
    """The newest table known, and how to ask the controller for more. Safe to share between threads."""

    def __init__(self, url: str, store: ObjectStore) -> None:
        self._url = url
        self._store = store
        self._http = urllib3.PoolManager(maxsize=4, retries=False, timeout=urllib3.Timeout(LONG_POLL_S + 10.0))
        self._table = Table()
        self._lock = Lock()

    @property
    def table(self) -> Table:
        return self._table

    @property
    def urls(self) -> Mapping[ShardId, str]:
        """Every shard's address."""
        return {shard.id: shard.url for shard in self._table.shards.values()}

    def of(self, job: JobId) -> Assignment:
        """Return who holds a job's slices, having the controller plan it if it is new.

        Raises:
            InsufficientCapacity: if no shard can hold a slice of it.
            Unavailable: if the controller does not answer.
        """
        return self._table.jobs.get(job) or self.plan(job)

    def plan(self, job: JobId) -> Assignment:
        """Have the controller plan a job; errors as `of`."""
        self._take(self._call("POST", f"/v1/placement/jobs/{job}"))
        try:
            return self._table.jobs[job]
        except KeyError:
            raise Unavailable(f"the placement controller has no place for job {job!r} yet") from None

    def forget(self, job: JobId) -> None:
        """Tell the controller that a job is gone."""
        self._call("DELETE", f"/v1/placement/jobs/{job}")

    def shards(self) -> list[dict[str, Any]]:
        """Return the controller's view of every shard: its state, address and starts."""
        found: list[dict[str, Any]] = self._call("GET", "/v1/shards")
        return found

    def addresses(self, assignment: Assignment, index: int) -> list[str]:
        """Return the addresses of a slice's shards, most preferred first."""
        urls = self.urls
        return [urls[shard] for shard in assignment.owners[index] if shard in urls]

    def awake(self) -> Mapping[ShardId, str]:
        """Return the addresses of the shards that are not at zero; of all if the controller does not answer."""
        try:
            return {ShardId(shard["shard"]): shard["url"] for shard in self.shards() if shard["state"] != ZERO}
        except Unavailable:
            return self.urls

    def predictors(self, job: JobId) -> tuple[ShardId, ...]:
        """Return the predictors in the order in which the job prefers them (rendezvous hashing)."""
        return order(job, dict.fromkeys(self._table.predictors, 1.0))

    def load(self) -> None:
        """Read the table as the store has it, for a start while the controller is away."""
        try:
            self._take(load_json(self._store, layout.TABLE))
        except FLStoreError as error:
            logger.info("no placement table in the store yet", extra={"error": error.detail})

    def wait_for_news(self) -> None:
        """Return once a newer table has been taken in, or the controller had none for a while."""
        data = self._call("GET", f"/v1/placement?after={self._table.version}&wait={LONG_POLL_S:g}")
        if data:
            self._take(data)

    def close(self) -> None:
        self._http.clear()

    def _take(self, data: Mapping[str, Any]) -> None:
        table = Table.from_json(data)
        with self._lock:
            if table.version >= self._table.version:
                self._table = table

    def _call(self, method: str, path: str) -> Any:
        try:
            response = self._http.request(method, self._url + path)
        except HTTPError as error:
            raise Unavailable(f"the placement controller at {self._url} does not answer") from error
        if response.status >= 400:
            raise from_problem(_json(response.data) or {"status": response.status})
        return _json(response.data)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError as error:
        raise Unavailable("the placement controller answered something that is not JSON") from error
