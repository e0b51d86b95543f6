"""A queue of cached objects, which several policies keep."""

from collections import OrderedDict
from collections.abc import Container

from flstore_core.policies.base import Key, Sizes

Queue = OrderedDict[Key, int]
"""Objects and their bytes, the next to go first."""


def take(queue: Queue, needed: int, pinned: Container[Key]) -> Sizes:
    """Take objects, none of `pinned`, from the front of `queue` until they come to `needed` bytes; all if never."""
    taken: dict[Key, int] = {}
    passed: dict[Key, int] = {}
    while needed > 0 and queue:
        key, size = queue.popitem(last=False)
        if pinned and key in pinned:
            passed[key] = size
        else:
            taken[key] = size
            needed -= size
    for key in reversed(passed):
        queue[key] = passed[key]
        queue.move_to_end(key, last=False)
    return taken
