"""Decides a round's *base*: the model that its deltas are taken against.

**The rule.** A caller may name the base: a round, whose aggregate it is, the SHA-256 of an aggregate, or `none`. If
nobody does, it is the newest round before this one that has an aggregate.

**Why the order of arrival does not matter.** What is stored of a round says what was named, and which base the rule
gave at its commit. Readers apply the rule again, to what is stored now. So the base follows from the rounds that there
are, and not from the order in which they came; and statistics say which base they were taken against, so that those of
another one are taken anew (`services.gateway.rounds.statistics`). Nothing is rewritten for that, and no write can race.

Example: round 2 is committed when round 0 alone has an aggregate, and its base is 0. Then round 1 is committed, with an
aggregate. From now on the base of round 2 is 1, as if round 1 had been committed first. Once all rounds between a base
and its round are committed, nothing changes any more: of consecutive rounds, at once.

**Aggregates of open rounds** count while a round is opened or committed, because a server may store the aggregate and
have the next round begin before it commits. They may be replaced or taken back, so they are looked at when they are
used. Those of committed rounds are in the job's index, and nothing has to be read.

**A named round without an aggregate** is waited for: until it has one, deltas are taken against zero, and answers say
so. A hash that no aggregate has is refused, because it names nothing that could be waited for.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass, replace

from flstore_core.errors import Conflict, InvalidParameters, NotFound
from flstore_core.ids import AGGREGATE
from flstore_core.records import Job, Round
from flstore_core.units import parse_natural
from services.gateway.rounds.index import Catalog, JobIndex, newest_before
from services.gateway.rounds.records import Records

NONE = "none"
"""Names no base: deltas are taken against zero."""

_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Base:
    """The model that a round's deltas are taken against."""

    round: int | None = None
    """The round whose aggregate it is; None if deltas are taken against zero."""
    sha256: str | None = None
    """Of the aggregate's file."""


ZERO = Base()


def base_name(text: str, number: int) -> str:
    """Return the name of a base for round `number` in its one form; raise `InvalidParameters` if it is none."""
    name = text.strip().lower()
    if name == NONE or _HASH.fullmatch(name):
        return name
    earlier = parse_natural(name, number - 1) if number else None
    if earlier is None:
        raise InvalidParameters(
            f"base is {text[:80]!r}; use the number of a round before {number}, whose aggregate it is, the SHA-256 of "
            f"an aggregate in hexadecimal, or {NONE!r}"
        )
    return str(earlier)


class Bases:
    """Decides rounds' bases. Safe to share between threads."""

    def __init__(self, catalog: Catalog, records: Records) -> None:
        self._catalog = catalog
        self._records = records

    def choose(self, job: Job, number: int, named: str | None) -> Base:
        """Return the base of a round that is opened or committed now; raise `NotFound` for a hash of no aggregate."""
        if named is None:
            return self._choose_newest(job, number)
        if named == NONE:
            return ZERO
        if _HASH.fullmatch(named):
            return self._find_hash(job, number, named)
        return self._find_aggregate(self._catalog.known_index(job), int(named))

    def settle(self, index: JobIndex, record: Round) -> Round:
        """Return a committed round's record with the base that it has by what is stored now."""
        base = self.current(index, record.number, record.base, record.base_named)
        if base.round == record.base and record.base_sha256 in ("", base.sha256):
            return record  # itself, because it has its hash at hand
        return replace(record, base=base.round, base_sha256=base.sha256)

    def current(self, index: JobIndex, number: int, recorded: int | None, named: str | None) -> Base:
        """Return the base that a round has by what is stored now.

        Args:
            recorded: the round whose aggregate was the base when the round was opened or committed.
        """
        if named == NONE:
            return ZERO
        if named is None:
            return self._find_newest(index, number, recorded)
        if _HASH.fullmatch(named):
            base = ZERO if recorded is None else self._find_aggregate(index, recorded)
            return base if base.sha256 == named else _with_hash(index, number, named) or ZERO
        return self._find_aggregate(index, int(named))

    def agrees(self, job: Job, number: int, named: str, has: Base, has_named: str | None) -> bool:
        """Say whether a caller who names a base means the one that a round has; errors are those of `choose`.

        Two rounds that are waited for are not the same one.
        """
        if named == has_named:
            return True
        base = self.choose(job, number, named)
        if base == ZERO:
            return has == ZERO and named == NONE and has_named is None
        return base.sha256 == has.sha256

    def likely(self, job: Job, number: int, recorded: int | None, named: str | None) -> int | None:
        """Return the round that is most likely the base's, without a look at the store."""
        if named is not None:
            return int(named) if named.isdecimal() and not _HASH.fullmatch(named) else recorded
        newest = newest_before(self._catalog.known_index(job).with_aggregate, number)
        return max((each for each in (newest, recorded) if each is not None), default=None)

    def _choose_newest(self, job: Job, number: int) -> Base:
        """Return the aggregate of the newest round before `number` that has one, committed or open."""
        if previous := _committed(self._catalog.known_index(job), number - 1):
            return previous  # nothing can come between two consecutive rounds
        index = self._catalog.refresh(job.id)
        newest = newest_before(index.with_aggregate, number)
        first = 0 if newest is None else newest + 1
        for earlier in reversed(index.open):
            if first <= earlier < number and (base := self._find_aggregate(index, earlier)) != ZERO:
                return base
        return ZERO if newest is None else Base(newest, index.aggregates[newest])

    def _find_newest(self, index: JobIndex, number: int, recorded: int | None) -> Base:
        """Return the aggregate of the newest round before `number` that has one: committed, or the recorded one."""
        newest = newest_before(index.with_aggregate, number)
        if recorded is not None and (newest is None or newest < recorded):
            base = self._find_aggregate(index, recorded)
            if base != ZERO:
                return base
        return ZERO if newest is None else Base(newest, index.aggregates[newest])

    def _find_hash(self, job: Job, number: int, sha256: str) -> Base:
        """Return the newest aggregate before round `number` that has a hash; raise `NotFound` if none has."""
        if base := _with_hash(self._catalog.known_index(job), number, sha256):
            return base
        index = self._catalog.refresh(job.id)
        if base := _with_hash(index, number, sha256):
            return base
        for earlier in reversed(index.open):
            if earlier < number and (base := self._find_aggregate(index, earlier)).sha256 == sha256:
                return base
        raise NotFound(
            f"no aggregate of job {job.id!r} before round {number} has the SHA-256 {sha256}, which is named as the "
            "base; store that model as the aggregate of an earlier round first, or name a round"
        )

    def _find_aggregate(self, index: JobIndex, number: int) -> Base:
        """Return the aggregate of a round, committed or open; `ZERO` if it has none."""
        if base := _committed(index, number):
            return base
        if index.is_committed(number):
            return ZERO
        member = self._records.read_member(index.job, number, AGGREGATE)
        return Base(number, member.sha256) if member else ZERO


def other_base(
    job: Job, number: int, base: Base, base_named: str | None, named: str, *, can_rename: bool = False
) -> Conflict:
    """Return what a caller is told who names another base than a round has."""
    has = base_named or (NONE if base.round is None else str(base.round))
    way_out = "; to give the round another one, name it with replace=true" if can_rename else ""
    return Conflict(
        f"the base of round {number} of job {job.id!r} is {has}, and this names {named}; all updates of a round share "
        f"one base{way_out}",
        base=has,
        named=named,
    )


def _committed(index: JobIndex, number: int) -> Base | None:
    """Return the aggregate of a committed round, if it has one."""
    sha256 = index.aggregates.get(number)
    return Base(number, sha256) if sha256 else None


def _with_hash(index: JobIndex, number: int, sha256: str) -> Base | None:
    """Return the newest aggregate before round `number` that has a hash, if it is that of a committed round."""
    rounds = reversed(index.with_aggregate[: bisect_left(index.with_aggregate, number)])
    return next((Base(each, sha256) for each in rounds if index.aggregates[each] == sha256), None)
