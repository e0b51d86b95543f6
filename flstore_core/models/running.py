"""One request's run: how far it has come, and when it must end."""

from collections.abc import Callable
from dataclasses import dataclass

from flstore_core.errors import OperationCancelled, RunTooLong


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
