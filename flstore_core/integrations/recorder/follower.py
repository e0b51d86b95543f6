"""A tracker, such as MLflow's, that follows a training while it is recorded.

A tracker is told that rounds were committed, reads from the store what it wants of them, and may take its time: it
works in a thread of its own, for which no round waits. Rounds that are committed meanwhile are told of together. A
tracker that fails is told again after the next round, and once more at the end.
"""

import logging
import threading
from typing import Protocol

from flstore_core.client import FLStore
from flstore_core.integrations.recorder.clerk import Ledger
from flstore_core.integrations.recorder.patience import Patience

logger = logging.getLogger("flstore.recorder")


class Tracker(Protocol):
    """Follows trainings."""

    def track(self, store: FLStore, job: str, *, ended: bool) -> object:
        """Take over the rounds of a job that are committed and were not taken before.

        Args:
            ended: whether the training has ended.
        """


class Follower:
    """Tells a tracker of one training's rounds."""

    def __init__(self, tracker: Tracker, store: FLStore, ledger: Ledger) -> None:
        self._tracker = tracker
        self._store = store
        self._ledger = ledger
        self._told = 0
        """The rounds that were committed when the tracker was told last."""
        self._ended = False
        self._has_ended = False
        self._problem = ""

    def start(self) -> None:
        """Start the thread. It is a daemon: a tracker that hangs does not keep a process from ending."""
        threading.Thread(target=self._work, name="flstore-tracker", daemon=True).start()

    def finish(self, patience: Patience) -> str:
        """Have the tracker told of the end, and return why it does not have all; the caller holds no lock."""
        with self._ledger.changed:
            self._ended = True
            self._ledger.changed.notify_all()
            if not patience.wait(self._ledger.changed, lambda: self._has_ended):
                return self._problem or "it took too long"
            return self._problem

    def _work(self) -> None:
        while not self._has_ended:
            with self._ledger.changed:
                self._ledger.changed.wait_for(self._has_news)
                self._told, ended = self._ledger.report.rounds, self._ended
            problem = self._tell(ended)
            with self._ledger.changed:
                self._problem, self._has_ended = problem, ended
                self._ledger.changed.notify_all()

    def _has_news(self) -> bool:
        return self._ended or self._ledger.report.rounds > self._told

    def _tell(self, ended: bool) -> str:
        """Call the tracker; return why it failed."""
        job = self._ledger.report.job
        try:
            if job:
                self._tracker.track(self._store, job, ended=ended)
        except Exception as error:  # of any library
            if not self._problem:
                logger.warning("the training is not tracked now, and goes on: %s", error)
            return str(error) or type(error).__name__
        return ""
