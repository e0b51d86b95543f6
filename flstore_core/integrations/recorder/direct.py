"""What a training does in the store itself, because it waits for it: beside the clerk's threads, and in step with them.

Where clients store their own updates, the recorder only hears of them. It still has to know whose they are, since it
does not close a round in which another training has written.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flstore_core.client import FLStore
from flstore_core.errors import Unavailable
from flstore_core.integrations.recorder.clerk import Ledger
from flstore_core.integrations.recorder.desk import Desk
from flstore_core.integrations.recorder.journal import Made


class Direct:
    """The job that a recorder records into, for calls of one's own. Safe to share between threads."""

    def __init__(self, ledger: Ledger, desk: Desk) -> None:
        self._ledger = ledger
        self._desk = desk

    @property
    def store(self) -> FLStore:
        return self._desk.store

    @property
    def job(self) -> str:
        """The name of the job, as it is in the store; raise `NotFound` if it is not open."""
        return self._desk.job

    def round_of(self, number: int) -> int:
        """Return the store's number of a training's round."""
        return self._desk.round_of(number)

    def wait_to_begin(self, number: int, seconds: float) -> None:
        """Wait until the job is open and all earlier rounds are closed; raise `Unavailable` if that takes too long."""
        self._wait(number, lambda: self._ledger.journal.may_begin(number), seconds)

    def wait_until_stored(self, number: int, seconds: float) -> None:
        """Wait until the store has every model of a round that the recorder was given; raise `Unavailable` as above."""
        self._wait(number, lambda: self._ledger.journal.page(number).is_stored, seconds)

    def expect(self, number: int, clients: Collection[str]) -> None:
        """Note that these clients store their updates of a round themselves."""
        with self._ledger.changed:
            self._ledger.journal.page(number).expected.update(clients)

    def note(self, number: int, client: str, sha256: str, nbytes: int) -> None:
        """Note that the store has an update."""
        with self._ledger.changed:
            self._ledger.journal.page(number).stored[client] = sha256
            self._ledger.report.count_stored(nbytes)

    def note_made(self, number: int, sha256: str, params: Mapping[str, Any]) -> None:
        """Note that the store has made a round's aggregate. The round is closed only when it is stored, too."""
        with self._ledger.changed:
            page = self._ledger.journal.page(number)
            replaced = page.made.replaced | {page.made.sha256} if page.made else frozenset()
            page.made = Made(sha256, params, replaced - {sha256})

    def made(self, number: int) -> Made | None:
        """Return what the store has made of a round that is not closed, unless another aggregate has come since."""
        with self._ledger.changed:
            return self._ledger.journal.made(number)

    def stored(self, number: int) -> frozenset[str]:
        """Return the clients of a round whose updates the store is known to have."""
        with self._ledger.changed:
            return frozenset(self._ledger.journal.page(number).stored)

    def _wait(self, number: int, is_so: Callable[[], bool], seconds: float) -> None:
        with self._ledger.changed:
            report = self._ledger.report
            self._ledger.changed.wait_for(lambda: is_so() or bool(report.broken), seconds)
            if report.broken or not is_so():
                why = report.broken or f"the store took more than {seconds:g} s for what comes before it"
                raise Unavailable(f"round {number} cannot go on by reference: {why}")
