"""Follows the placement controller's table, which says whom to ask for which slice.

Each table that the controller publishes has a higher version than the one before. A gateway keeps the newest table that
it has seen, and asks the controller for a newer one. The controller answers when it has one ("long poll").

Example: the gateway has version 7 and asks `GET /v1/placement?after=7&wait=20`. After 3 s a new job is placed. The
controller answers at once with version 8, and the gateway next asks for what comes after 8. If nothing had happened,
the controller would have sent an empty answer after 20 s. The gateway that created the job does not wait for this: the
answer to its `POST /v1/placement/jobs/{job}` is version 8 itself. If a long poll then brings version 8 late, or even
version 7, nothing changes, because a table never replaces one with a higher version.
"""

import json
import logging
from collections.abc import Mapping
from threading import Lock
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from flstore_core import layout
from flstore_core.errors import FLStoreError, ProofRefused, Unavailable, from_response
from flstore_core.ids import JobId, ShardId
from flstore_core.placement.base import Assignment, Table
from flstore_core.placement.rendezvous import rank_shards
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json
from services.common.proof import Keys
from services.gateway.backends.calls import unproven

logger = logging.getLogger(__name__)

ZERO = "zero"
"""State of a shard that has no process, and so nothing in memory."""

LONG_POLL_S = 20.0
"""Seconds for which the controller may delay its answer while there is no newer table."""


class Placement:
    """The newest table known, and calls of the controller. Safe to share between threads.

    Args:
        url: address of the placement controller.
        store: has a copy of the table, for a start while the controller is away.
        http: makes single requests; by default one that keeps connections open.
        keys: the first one signs every request.
    """

    def __init__(
        self, url: str, store: ObjectStore, http: urllib3.PoolManager | None = None, keys: Keys | None = None
    ) -> None:
        self._url = url
        self._store = store
        self._keys = keys or Keys()
        timeout = urllib3.Timeout(LONG_POLL_S + 10.0)
        self._http = http or urllib3.PoolManager(maxsize=4, retries=False, timeout=timeout)
        self._table = Table()
        self._lock = Lock()

    @property
    def table(self) -> Table:
        return self._table

    @property
    def urls(self) -> Mapping[ShardId, str]:
        """Every shard's address."""
        return {shard.id: shard.url for shard in self._table.shards.values()}

    def find_or_place(self, job: JobId) -> Assignment:
        """Return which shards hold a job's slices; if the table lacks the job, have the controller place it first.

        Raises:
            InsufficientCapacity: if no shard can hold a slice of it.
            Unavailable: if the controller does not answer.
        """
        return self._table.jobs.get(job) or self.place(job)

    def place(self, job: JobId) -> Assignment:
        """Have the controller place a job, and return which shards hold its slices; errors as `find_or_place`."""
        self._take_in(self._call("POST", f"/v1/placement/jobs/{job}"))
        try:
            return self._table.jobs[job]
        except KeyError:
            raise Unavailable(f"the placement controller has no place for job {job!r} yet") from None

    def forget(self, job: JobId) -> None:
        """Tell the controller that a job is deleted."""
        self._call("DELETE", f"/v1/placement/jobs/{job}")

    def addresses(self, assignment: Assignment, index: int) -> list[str]:
        """Return the addresses of a slice's shards, most preferred first."""
        urls = self.urls
        return [urls[shard] for shard in assignment.owners[index] if shard in urls]

    def rank_predictors(self, job: JobId) -> dict[ShardId, str]:
        """Return the predictors' addresses, most preferred by the job first (rendezvous hashing)."""
        urls = self._table.predictors
        return {predictor: urls[predictor] for predictor in rank_shards(job, dict.fromkeys(urls, 1.0))}

    def fetch_backends(self) -> list[dict[str, Any]]:
        """Ask the controller for every shard and predictor: its state, address and starts."""
        backends: list[dict[str, Any]] = self._call("GET", "/v1/shards")
        return backends

    def fetch_awake(self) -> Mapping[ShardId, str]:
        """Ask the controller which backends are not at zero, and return their addresses.

        Returns the addresses of all shards if the controller does not answer.
        """
        try:
            return {ShardId(row["shard"]): row["url"] for row in self.fetch_backends() if row["state"] != ZERO}
        except Unavailable:
            return self.urls

    def load(self) -> None:
        """Read the store's copy of the table, for a start while the controller is away."""
        try:
            self._take_in(load_json(self._store, layout.TABLE))
        except FLStoreError as error:
            logger.info("no placement table in the store yet", extra={"error": error.detail})

    def wait_for_news(self) -> None:
        """Ask for a newer table, take it in and return; return as well after `LONG_POLL_S` seconds without one."""
        data = self._call("GET", f"/v1/placement?after={self._table.version}&wait={LONG_POLL_S:g}")
        if data:
            self._take_in(data)

    def close(self) -> None:
        self._http.clear()

    def _take_in(self, data: Mapping[str, Any]) -> None:
        """Use a table from now on, unless a newer one is in use. Threads may bring tables in any order."""
        table = Table.from_json(data)
        with self._lock:
            if table.version >= self._table.version:
                self._table = table

    def _call(self, method: str, path: str) -> Any:
        try:
            response = self._http.request(method, self._url + path, headers=self._keys.sign(method, path))
        except HTTPError as error:
            raise Unavailable(f"the placement controller at {self._url} does not answer") from error
        if response.status >= 400:
            refusal = from_response(response.status, response.data)
            raise unproven(self._url, refusal) if isinstance(refusal, ProofRefused) else refusal
        return _json(response.data)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError) as error:
        raise Unavailable("the placement controller answered something that is not JSON") from error
