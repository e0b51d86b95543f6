"""Calls about a backend's cache: what it holds, why it holds it, and what it has to drop."""

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from urllib3 import BaseHTTPResponse

from flstore_core.errors import FLStoreError
from flstore_core.ids import ClientId, JobId, ShardId
from flstore_core.shard.protocol import CLIENT, EXPLAIN, INVENTORY, JOB
from services.gateway.backends.calls import Calls, read_count, read_json

logger = logging.getLogger(__name__)


class Caches:
    """Calls the caches of shards and predictors by their addresses. Safe to share between threads."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def close(self) -> None:
        self._calls.close()

    def inventory(self, url: str) -> dict[str, Any]:
        """Return what a backend holds. Ask only one that is awake: asking wakes it."""
        return self._calls.send("GET", [url], INVENTORY, _read_inventory)

    def explain(self, url: str, key: str) -> dict[str, Any]:
        """Return why a backend holds a key or does not."""
        return self._calls.send("GET", [url], f"{EXPLAIN}?{urlencode({'key': key})}", read_json)

    def forget_job(self, urls: Mapping[ShardId, str], job: JobId) -> None:
        """Have backends drop a job. A backend that cannot be reached is logged and passed over.

        If it has no process, it holds nothing. Otherwise what it holds is not read any more, and is evicted in time.
        """
        self._forget(urls, JOB.format(job=job))

    def forget_client(self, urls: Mapping[ShardId, str], job: JobId, client: ClientId) -> None:
        """Have backends drop a client of a job. A backend that cannot be reached is logged and passed over."""
        self._forget(urls, CLIENT.format(job=job, client=client))

    def _forget(self, urls: Mapping[ShardId, str], path: str) -> None:
        for backend, url in urls.items():
            try:
                self._calls.send("DELETE", [url], path, read_count("dropped"))
            except FLStoreError as error:
                logger.warning("backend did not forget", extra={"shard": backend, "path": path, "error": error.detail})


def _read_inventory(response: BaseHTTPResponse) -> dict[str, Any]:
    """Return an inventory; it lists what is held of each job, if it is one."""
    inventory = read_json(response)
    dict(inventory["jobs"])
    return inventory
