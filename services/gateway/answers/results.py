"""Keeps answers that took long, and gives them again while the question and its rounds are the same."""

import json
from collections import OrderedDict
from threading import Lock

from flstore_core.ids import Home
from services.gateway.answers.execution import Outcome

RESULTS_BYTES = 64 * 2**20
"""Longest JSON of all kept answers together, in bytes."""

WORTH_KEEPING_S = 0.02
"""An answer that took fewer seconds is not kept: computing it again costs hardly more than looking it up."""


class Results:
    """The most recently used answers that took long, by ETag. Safe to share between threads."""

    def __init__(self, budget: int = RESULTS_BYTES) -> None:
        self._budget = budget
        self._used = 0
        self._kept: OrderedDict[str, tuple[Outcome, int, Home]] = OrderedDict()
        self._lock = Lock()

    def get(self, etag: str) -> Outcome | None:
        """Return the answer kept under an ETag, or None."""
        with self._lock:
            if etag not in self._kept:
                return None
            self._kept.move_to_end(etag)
            return self._kept[etag][0]

    def forget(self, home: Home) -> None:
        """Drop the answers about a generation of a job: they may link to a deleted model, or be of an erased client."""
        with self._lock:
            for etag in [etag for etag, (_, _, of) in self._kept.items() if of == home]:
                self._used -= self._kept.pop(etag)[1]

    def offer(self, outcome: Outcome, home: Home) -> None:
        """Keep an answer that has an ETag and took long; drop the least recently used ones to make room."""
        if outcome.etag is None or outcome.execution.total_seconds < WORTH_KEEPING_S:
            return
        nbytes = len(json.dumps(outcome.result))
        if nbytes > self._budget:
            return
        with self._lock:
            # Another thread may have kept an answer to this question meanwhile. The new one replaces it.
            self._used += nbytes - self._kept.pop(outcome.etag, (None, 0))[1]
            self._kept[outcome.etag] = outcome, nbytes, home
            while self._used > self._budget:
                self._used -= self._kept.popitem(last=False)[1][1]
