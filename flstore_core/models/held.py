"""Counts the memory that one execution's results hold."""

from collections.abc import Collection, Iterator

from torch import Tensor

from flstore_core.errors import RunTooLarge
from flstore_core.units import format_size


class Held:
    """Memory that one execution's results hold: each storage counts once, however many views there are of it.

    Args:
        shared: addresses of the storages of weights and inputs, which do not count.
    """

    def __init__(self, limit: int, shared: Collection[int]) -> None:
        self._limit = limit
        self._shared = shared
        self._users = dict.fromkeys(shared, 1)
        self._total = 0

    def is_shared(self, tensor: Tensor) -> bool:
        """Return whether a tensor's memory is that of weights or inputs, which must not be written to."""
        return tensor.untyped_storage().data_ptr() in self._shared

    def make_room(self, nbytes: int, operator: str) -> None:
        """Raise `RunTooLarge` where so many bytes more are past the limit."""
        if self._total + nbytes > self._limit:
            raise RunTooLarge(
                f"with operator {operator} the program's results hold {format_size(self._total + nbytes)}, and "
                f"{format_size(self._limit)} are allowed; send fewer rows at once, or raise FLSTORE_RUN_BYTES"
            )

    def take(self, value: object, operator: str) -> None:
        """Count a result, or each of a list; raise `RunTooLarge` where that is past the limit."""
        for tensor in _tensors(value):
            storage = tensor.untyped_storage()
            place = storage.data_ptr()
            users = self._users.get(place, 0)
            self._users[place] = users + 1
            if users == 0:
                self._total += storage.nbytes()
                self.make_room(0, operator)

    def leave(self, value: object) -> None:
        """Stop counting a result that nobody reads any more."""
        for tensor in _tensors(value):
            storage = tensor.untyped_storage()
            place = storage.data_ptr()
            self._users[place] -= 1
            if not self._users[place]:
                del self._users[place]
                self._total -= storage.nbytes()


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
