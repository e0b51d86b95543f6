"""What is to be recorded, and in which order: pages of steps. Decides, and does nothing itself.

A *page* is a round: the updates to store, in any order and several at once, and the *ending*, which comes after them.
Page 0 has an ending only, which opens the job. A page is begun when the one before has ended, because the store takes a
round's differences against the newest aggregate that it has when the round's first update comes:

    page 0   begin
    page 1   c1, c2, c3 at once   then close      steps that may be taken now: begin; when it is done c1, c2 and c3
    page 2   c1                                   not before page 1 has been closed

A step that failed because the store was away is put back, and is the next to be taken. All steps can be repeated.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from flstore_core.integrations.recorder.shelf import Held
from flstore_core.records import Round
from flstore_core.schema import Schema


@dataclass(frozen=True, eq=False)
class Beginning:
    """Opens the job, with the initial model as its round 0."""

    schema: Schema
    model: Held | None
    """Where training starts; None if the framework did not say."""
    round: int = 0


@dataclass(frozen=True, eq=False)
class Update:
    """Stores what a client sent, or the aggregate."""

    round: int
    client: str
    """Empty for the aggregate."""
    model: Held
    metrics: Mapping[str, Any]
    weight: float | None = None
    """In the average; None if the framework did not say."""


@dataclass(frozen=True, eq=False)
class Closing:
    """Commits a round."""

    round: int
    metrics: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]
    model: None = None


@dataclass(frozen=True)
class Made:
    """An aggregate that the store has made, which it may not have stored yet."""

    sha256: str
    params: Mapping[str, Any]
    """Of `FLStore.make_aggregate`."""
    replaced: frozenset[str] = frozenset()
    """Hashes of those that were made of the same round before."""

    def is_missing_in(self, round_: Round) -> bool:
        """Return whether a round has no aggregate, or one in whose place this one belongs."""
        return round_.aggregate is None or round_.aggregate.sha256 in self.replaced


Ending: TypeAlias = Beginning | Closing
Step: TypeAlias = Update | Ending


@dataclass
class Page:
    """A round, as far as it has been heard of."""

    number: int
    waiting: deque[Update] = field(default_factory=deque)
    working: list[Update] = field(default_factory=list)
    """Updates that are being stored."""
    stored: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each client's update in the store."""
    expected: set[str] = field(default_factory=set)
    """Clients that store their updates themselves, whenever they come."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why the store does not take a client's update, such as for NaN."""
    made: Made | None = None
    """The aggregate, if the store has made it and no other has come since."""
    ending: Ending | None = None
    ending_taken: bool = False
    ended: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether every update that was heard of has been stored or refused."""
        return not self.waiting and not self.working

    def next_update(self) -> Update | None:
        """Return the first update that waits, of a client none of whose updates is being stored: the last shall win."""
        busy = {update.client for update in self.working}
        return next((update for update in self.waiting if update.client not in busy), None)


class Journal:
    """The pages of a training. Belongs to one thread at a time: its users hold one lock."""

    def __init__(self) -> None:
        self._pages: dict[int, Page] = {}
        self._first = 0
        """The page that is being worked on."""

    def page(self, number: int) -> Page:
        """Return a round's page; a new one if nothing was heard of it yet."""
        return self._pages.setdefault(number, Page(number))

    def write(self, step: Step) -> bool:
        """Note what is to be done; return False if it comes too late, because the round has been closed."""
        page = self.page(step.round)
        if page.ending is not None:
            return False
        self._end_before(step.round)
        if isinstance(step, Update):
            page.waiting.append(step)
            page.made = page.made if step.client else None
        else:
            page.ending = step
        return True

    def may_begin(self, number: int) -> bool:
        """Return whether the job is open, and every round before this one that was heard of is closed."""
        opening = self._pages.get(0)
        return opening is not None and all(page.ended for page in self._pages.values() if page.number < number)

    def made(self, number: int) -> Made | None:
        """Return what the store has made of a round that is not closed; None if nothing, or if another came since."""
        page = self._pages.get(number)
        return None if page is None or page.ended else page.made

    def take(self) -> Step | None:
        """Return a step that may be taken now; None if there is none."""
        page = self._current()
        if page is None:
            return None
        if update := page.next_update():
            page.waiting.remove(update)
            page.working.append(update)
            return update
        if not page.is_stored or page.ending is None or page.ending_taken:
            return None
        page.ending_taken = True
        return page.ending

    def put_back(self, step: Step) -> None:
        """Have a step that was not successful taken again."""
        page = self._pages[step.round]
        if isinstance(step, Update):
            page.working.remove(step)
            page.waiting.appendleft(step)
        else:
            page.ending_taken = False

    def done(self, step: Step, sha256: str = "", refused: str = "") -> None:
        """Note that a step needs nothing more.

        Args:
            sha256: of the update, if the store has it.
            refused: why the store does not take it.
        """
        page = self._pages[step.round]
        if not isinstance(step, Update):
            page.ended = True
            return
        page.working.remove(step)
        if step.client and sha256:
            page.stored[step.client] = sha256
        if step.client and refused:
            page.refused[step.client] = refused

    def unfinished(self) -> Iterator[Step]:
        """Yield the steps that are not done, in order."""
        for number in sorted(self._pages):
            page = self._pages[number]
            yield from (*page.working, *page.waiting)
            if page.ending is not None and not page.ended:
                yield page.ending

    def closed(self) -> tuple[int, list[Page]]:
        """Return the newest round that is recorded, and copies of those that are closed and not recorded, ascending."""
        pages = [self._pages[number] for number in sorted(self._pages)]
        newest = max((page.number for page in pages if page.ended), default=0)
        left = [page for page in pages if page.ending is not None and not page.ended]
        return newest, [replace(page, waiting=page.waiting.copy(), working=list(page.working)) for page in left]

    def is_idle(self) -> bool:
        """Return whether nothing is left to do."""
        return all(page.is_stored and (page.ended or page.ending is None) for page in self._pages.values())

    def _end_before(self, number: int) -> None:
        """End earlier rounds that were never closed, such as one whose aggregation failed."""
        for page in self._pages.values():
            if 0 < page.number < number and page.ending is None:
                page.ending = Closing(page.number, {}, {})

    def _current(self) -> Page | None:
        """Return the oldest page that has not ended, whose predecessors all have."""
        while (page := self._pages.get(self._first)) and page.ended:
            self._first += 1
        if page is None and self._first > 0:  # a round that a framework left out
            page = next((self._pages[number] for number in sorted(self._pages) if number > self._first), None)
        return page
