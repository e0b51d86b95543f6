"""The client: `FLStore` and `AsyncFLStore`, over HTTP only.

Here: the calls of the HTTP API without I/O (`api`, `paths`, `encoding`, `tensors`), when a request is repeated and
which error a response stands for (`retry`, `problems`), what calls return (`results`), and two transports that only
move bytes (`sync_client` over urllib3, `async_client` over httpx). `exchange` says how the API and a transport meet.

Not here: anything that knows how a service is built. The client reaches FLStore by its URL alone.
"""

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.bodies import Progress
from flstore_core.client.results import Answer, Erasure, Fields, JobInfo, Operation, Receipt, RoundInfo
from flstore_core.client.sync_client import FLStore
from flstore_core.client.tensors import Arrays

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
