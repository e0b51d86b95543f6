"""The client: `FLStore` and `AsyncFLStore`, over HTTP only.

Here: the calls of the HTTP API without I/O (`api`, `transfers`, `paths`, `encoding`, `tensors`), when a request is
repeated and which error a response stands for (`retry`, `problems`), what calls return (`results`), and two transports
that only move bytes (`sync_client` over urllib3, `async_client` over httpx). `exchange` says how the API and a
transport meet.
Importing the client takes no longer than importing NumPy and an HTTP library: urllib3 is imported when a client is
made, and `async_client` when it is asked for.

Not here: anything that knows how a service is built. The client reaches FLStore by its URL alone.
"""

from typing import TYPE_CHECKING

from flstore_core.client.bodies import Progress
from flstore_core.client.results import Answer, Erasure, Fields, JobInfo, Operation, Receipt, RoundInfo
from flstore_core.client.sync_client import FLStore
from flstore_core.client.tensors import Arrays

if TYPE_CHECKING:
    from flstore_core.client.async_client import AsyncFLStore

__all__ = [
    "Answer",
    "Arrays",
    "AsyncFLStore",
    "Erasure",
    "FLStore",
    "Fields",
    "JobInfo",
    "Operation",
    "Progress",
    "Receipt",
    "RoundInfo",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import `AsyncFLStore` when it is asked for: most programs do without asyncio and httpx."""
        if name != "AsyncFLStore":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from flstore_core.client.async_client import AsyncFLStore

        return AsyncFLStore
