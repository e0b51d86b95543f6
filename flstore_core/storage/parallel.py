"""Many range reads at once, for filling a cold cache."""

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeAlias

from flstore_core.storage.base import ObjectStore

Read: TypeAlias = tuple[str, int, memoryview]
"""A key, an offset in bytes and the memory to fill from there."""


def read_many(store: ObjectStore, reads: Sequence[Read], *, workers: int = 8) -> None:
    """Fill every buffer with at most `workers` threads, in any order.

    Raises the first error met, after the reads under way have ended: no thread writes to a buffer afterwards.
    """
    if not reads:
        return
    with ThreadPoolExecutor(min(workers, len(reads)), thread_name_prefix="read") as pool:
        futures = [pool.submit(store.read_into, key, buffer, offset=offset) for key, offset, buffer in reads]
        done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
        for future in waiting:
            future.cancel()
    for future in done:
        future.result()
