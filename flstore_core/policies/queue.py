"""A queue of cached objects, which several policies keep."""

from collections import OrderedDict
from collections.abc import Container

from flstore_core.policies.base import Key, Sizes

Queue = OrderedDict[Key, int]
"""Objects and their bytes, the next to go first."""


def take(queue: dict[Key, int], needed: int, pinned: Container[Key]) -> Sizes:
    """Take objects, none of `pinned`, from the front of `queue` until they come to `needed` bytes; all if never."""
    taken: dict[Key, int] = {}
    for key, size in queue.items():
        if needed <= 0:
            break
        if not (pinned and key in pinned):
            taken[key] = size
            needed -= size
    for key in taken:
        del queue[key]
    return taken
