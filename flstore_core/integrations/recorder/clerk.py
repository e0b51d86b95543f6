"""The threads that take steps from the journal to the desk, and begin again after the store was away.

While the store is away, one thread asks it again after pauses that grow, and the others wait. A step that the store
refuses for good is dropped and reported; what makes all further steps useless ends the recording.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from flstore_core.errors import FLStoreError, Forbidden, InsufficientCapacity, NotFound, Unauthorized
from flstore_core.integrations.recorder.desk import Desk, ForeignRound, is_away
from flstore_core.integrations.recorder.journal import Beginning, Closing, Journal, Step, Update
from flstore_core.integrations.recorder.report import Report
from flstore_core.integrations.recorder.shelf import Shelf
from flstore_core.retry import Retry, growing

logger = logging.getLogger("flstore.recorder")

PAUSES = Retry(growing(0.2, 15.0), jitter=0.3)
FATAL = (Unauthorized, Forbidden, NotFound, InsufficientCapacity, ForeignRound)
"""Errors that every further step would end in."""


@dataclass(frozen=True)
class Ledger:
    """What the training's threads and the clerk's share; `changed` guards all of it."""

    journal: Journal
    shelf: Shelf
    report: Report
    changed: threading.Condition


class Clerk:
    """Carries a journal's steps out in threads of its own.

    Args:
        prepare: what is done before the job is opened; it is repeated while the store is away.
        pauses: when the store is asked again after it was away.
    """

    def __init__(
        self,
        ledger: Ledger,
        desk: Desk,
        threads: int,
        *,
        prepare: Callable[[], None] = lambda: None,
        pauses: Retry = PAUSES,
    ) -> None:
        self._ledger = ledger
        self._desk = desk
        self._threads = threads
        self._prepare = prepare
        self._started = False
        self._stopped = False
        self._pauses = pauses
        self._attempts = pauses.begin()
        self._ask_again_at: float | None = None
        """When the store is asked again; None if it is not away."""
        self._asking = False
        self.away: FLStoreError | None = None
        """Why the store does not take anything now."""

    def start(self) -> None:
        """Start the threads. They are daemons: a call that hangs does not keep a process from ending."""
        if not self._started:
            self._started = True
            for number in range(self._threads):
                threading.Thread(target=self._work, name=f"flstore-recorder-{number}", daemon=True).start()

    def stop(self) -> None:
        """Have the threads end after the step that each is at."""
        with self._ledger.changed:
            self._stopped = True
            self._ledger.changed.notify_all()

    def _work(self) -> None:
        while (step := self._next()) is not None:
            self._carry_out(step)

    def _next(self) -> Step | None:
        """Wait for a step that may be taken; return None when there are to be no more."""
        with self._ledger.changed:
            while not (self._stopped or self._ledger.report.broken):
                pause_s = self._pause_s()
                if pause_s is None and (step := self._ledger.journal.take()):
                    self._asking = self.away is not None
                    return step
                self._ledger.changed.wait(pause_s)
        return None

    def _pause_s(self) -> float | None:
        """Return how long to leave the store alone; None if it may be asked. Others wait while one thread asks."""
        if self.away is None or self._ask_again_at is None:
            return None
        if self._asking:
            return self._pauses.pauses[-1]
        left = self._ask_again_at - self._pauses.clock()
        return left if left > 0 else None

    def _carry_out(self, step: Step) -> None:
        try:
            self._perform(step)
        except FLStoreError as error:
            (self._postpone if is_away(error) else self._refuse)(step, error)
        except Exception as error:  # of any library: arrays come from outside, and a training must not fail for them
            self._refuse(step, error)

    def _perform(self, step: Step) -> None:
        match step:
            case Beginning():
                self._prepare()
                self._desk.begin(step)
                self._finish(step, lambda report: report.open(self._desk.job))
            case Update():
                receipt = self._desk.put(step)
                self._finish(step, lambda report: report.count(step, receipt.nbytes), sha256=receipt.sha256)
            case Closing():
                with self._ledger.changed:
                    page = self._ledger.journal.page(step.round)
                    stored, expected, made = dict(page.stored), frozenset(page.expected), page.made
                self._desk.close(step, stored, expected, made)
                self._finish(step, lambda report: report.count_round())

    def _finish(self, step: Step, count: Callable[[Report], None], **outcome: str) -> None:
        if step.model:
            self._ledger.shelf.release(step.model)
        with self._ledger.changed:
            self._ledger.journal.done(step, **outcome)
            count(self._ledger.report)
            if self.away:
                logger.info("FLStore is back; what waits is being recorded")
            self.away, self._ask_again_at, self._asking = None, None, False
            self._attempts.succeeded()
            self._ledger.changed.notify_all()

    def _postpone(self, step: Step, error: FLStoreError) -> None:
        with self._ledger.changed:
            self._ledger.journal.put_back(step)
            if self.away is None:
                logger.warning("FLStore takes nothing now, and the training goes on: %s", error)
            if self.away is None or self._asking:  # several steps that fail together are one failure
                self._attempts.failed()
                self._ask_again_at = self._pauses.clock() + self._attempts.pause_s
            self.away, self._asking = error, False
            self._ledger.changed.notify_all()

    def _refuse(self, step: Step, error: Exception) -> None:
        fatal = isinstance(step, Beginning) or isinstance(error, FATAL)
        self._finish(step, lambda report: report.refuse(step, error, fatal=fatal), refused=str(error))
        if fatal:
            logger.warning("this training is not recorded any further, and goes on: %s", error)
            self._ledger.shelf.clear()
