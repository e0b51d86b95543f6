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
from collections.abc import Callable, Mapping
from http import HTTPStatus
from threading import Lock
from typing import Any, TypeVar

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from flstore_core import layout
from flstore_core.errors import FLStoreError, ForeignAnswer, ProofRefused, Unavailable, foreign_answer, from_response
from flstore_core.ids import JobId, ShardId
from flstore_core.placement.base import Assignment, Table
from flstore_core.placement.rendezvous import rank_shards
from flstore_core.retry import Retry
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json
from services.common.proof import Keys
from services.gateway.backends.calls import UNREADABLE, read_nothing, unproven

T = TypeVar("T")

logger = logging.getLogger(__name__)

ZERO = "zero"
"""State of a shard that has no process, and so nothing in memory."""

LONG_POLL_S = 20.0
"""Seconds for which the controller may delay its answer while there is no newer table."""

RETRY = Retry((0.05, 0.2, 0.5, 1.0), attempts=5)
"""How a change is asked for again: a controller that is replaced by another one is away for a moment."""

GOOD = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
"""Statuses of the controller's good answers."""


class Placement:
    """The newest table known, and calls of the controller. Safe to share between threads.

    Args:
        url: address of the placement controller.
        store: has a copy of the table, for a start while the controller is away.
        http: makes single requests; by default one that keeps connections open.
        keys: the first one signs every request.
        retry: how a change is asked for again while the controller does not answer.
    """

    def __init__(
        self,
        url: str,
        store: ObjectStore,
        http: urllib3.PoolManager | None = None,
        keys: Keys | None = None,
        retry: Retry = RETRY,
    ) -> None:
        self._url = url
        self._store = store
        self._keys = keys or Keys()
        self._retry = retry
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
        self._take_in(self._insist("POST", f"/v1/placement/jobs/{job}", _read_table))
        try:
            return self._table.jobs[job]
        except KeyError:
            raise Unavailable(f"the placement controller has no place for job {job!r} yet") from None

    def forget(self, job: JobId) -> None:
        """Tell the controller that a job is deleted."""
        self._insist("DELETE", f"/v1/placement/jobs/{job}", read_nothing)

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
        return self._call("GET", "/v1/shards", _read_backends)

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
            self._take_in(Table.from_json(load_json(self._store, layout.TABLE)))
        except FLStoreError as error:
            logger.info("no placement table in the store yet", extra={"error": error.detail})

    def wait_for_news(self) -> None:
        """Ask for a newer table, take it in and return; return as well after `LONG_POLL_S` seconds without one."""
        news = self._call("GET", f"/v1/placement?after={self._table.version}&wait={LONG_POLL_S:g}", _read_news)
        if news:
            self._take_in(news)

    def close(self) -> None:
        self._http.clear()

    def _take_in(self, table: Table) -> None:
        """Use a table from now on, unless a newer one is in use. Threads may bring tables in any order."""
        with self._lock:
            if table.version >= self._table.version:
                self._table = table

    def _insist(self, method: str, path: str, read: Callable[[BaseHTTPResponse], T]) -> T:
        """Call the controller until it answers, or the retry gives up."""
        attempts = self._retry.begin()
        while True:
            try:
                return self._call(method, path, read)
            except Unavailable:
                if not attempts.failed():
                    raise
            attempts.wait()

    def _call(self, method: str, path: str, read: Callable[[BaseHTTPResponse], T]) -> T:
        try:
            response = self._http.request(
                method, self._url + path, headers=self._keys.sign(method, path), redirect=False
            )
        except HTTPError as error:
            raise Unavailable(f"the placement controller at {self._url} does not answer") from error
        if response.status not in GOOD:
            raise self._refusal(from_response(response.status, response.data, response.headers))
        try:
            return read(response)
        except UNREADABLE as error:
            refusal = foreign_answer(response.status, response.data, response.headers)
            raise self._refusal(refusal) from error

    def _refusal(self, error: FLStoreError) -> FLStoreError:
        """Return the error for our own caller when the controller, or something in its place, answers with one."""
        if isinstance(error, ProofRefused):
            return unproven(self._url, error)
        if isinstance(error, ForeignAnswer) or type(error) is FLStoreError:
            return Unavailable(f"the placement controller at {self._url} does not answer: {error.detail}")
        return error


def _read_table(response: BaseHTTPResponse) -> Table:
    return Table.from_json(json.loads(response.data))


def _read_news(response: BaseHTTPResponse) -> Table | None:
    return None if response.status == HTTPStatus.NOT_MODIFIED else _read_table(response)


def _read_backends(response: BaseHTTPResponse) -> list[dict[str, Any]]:
    """Return the rows of backends; each says at least whose it is, its state and its address."""
    rows: list[dict[str, Any]] = json.loads(response.data)
    for row in rows:
        row["shard"], row["state"], row["url"]
    return rows
