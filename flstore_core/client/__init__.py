"""The client: `FLStore` and `AsyncFLStore`, over HTTP only.

What a call sends, how its answer is read and when it is tried again is decided without a socket (`calls`, `retry`,
`problems`); the two shells (`blocking`, `concurrent`) only move bytes. Nothing here knows how a service is built.
"""

from flstore_core.client.blocking import FLStore
from flstore_core.client.concurrent import AsyncFLStore
from flstore_core.client.models import Answer, Erasure, Fields, JobInfo, Operation, Receipt, RoundInfo
from flstore_core.client.tensors import Arrays
from flstore_core.client.wire import Progress

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
