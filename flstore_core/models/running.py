"""One request's run: how far it has come, when it must end, and how much memory its results may hold."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from torch import Tensor

from flstore_core.errors import OperationCancelled, RunTooLarge, RunTooLong
from flstore_core.units import format_size


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run of a workload over models may take."""

    seconds: float = 600.0
    """From its beginning to its end."""
    nbytes: int = 2**30
    """Memory that a program's intermediate results hold at one time, beside weights and inputs."""


class Running:
    """A run under way: the working thread reports its progress, any other thread reads it or ends the run.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.progress = (0, 1)
        """Steps done, and steps in all."""
        self._clock = clock
        self._end = clock() + limits.seconds
        self._cancelled = False

    def tell(self, done: int, total: int) -> None:
        """Note how far the run has come; raise what `check` raises."""
        self.progress = (done, total)
        self.check()

    def cancel(self) -> None:
        """End the run at its next step: nobody waits for it any more."""
        self._cancelled = True

    def check(self) -> None:
        """Raise `RunTooLong` past the time limit, `OperationCancelled` after `cancel`."""
        if self._cancelled:
            raise OperationCancelled("nobody is waiting for this run any more")
        if self._clock() > self._end:
            done, total = self.progress
            raise RunTooLong(
                f"the run was ended after {self.limits.seconds:g} s with {done} of {total} steps done; ask for fewer "
                "models, rows or permutations, or raise FLSTORE_RUN_SECONDS"
            )


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
