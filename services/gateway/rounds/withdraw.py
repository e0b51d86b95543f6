"""Takes updates, or everything in a round, back until the round is committed.

**The steps for one update, and the reason for their order.**

1. Look for the round record. If there is one, the round is immutable, and the request is refused.
2. Replace the member record by the mark of its removal, by its etag. From now on no commit lists the update.
3. Take the row out of the statistics, or make a commit begin again that has listed the update already.
4. Look for the round record once more. A commit may have written one between 1 and 2, and have settled that the update
   is in it. Then put the member record back, and refuse. If the record came later, its settlement has seen the mark and
   left the update out (`services.gateway.rounds.settlement`).
5. Write an audit record, and delete the file. It comes last: as long as nothing is sure, a commit may need it.

A round is taken back by taking back its updates and its aggregate, one by one. It stays open, without members, and its
next upload finds the base that it was opened with. A round whose commit broke off is open too.

A *replacement* is an upload that puts its own record in place of another (`services.gateway.rounds.ingest`).
"""

from collections.abc import Callable
from contextlib import suppress

from flstore_core import layout
from flstore_core.errors import PreconditionFailed, RoundCommitted, unknown
from flstore_core.files import new_name
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Job, Member, to_bytes
from services.common.timing import Time
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.places import Place
from services.gateway.rounds.removal import mark_removal, note_withdrawal, take_out_of_statistics


class Withdrawals:
    """Takes back what open rounds hold. Safe to share between threads."""

    def __init__(self, rounds: Rounds, time: Time, name_removal: Callable[[], str] = new_name) -> None:
        self._rounds = rounds
        self._store = rounds.store
        self._records = rounds.records
        self._openings = rounds.openings
        self._time = time
        self._name_removal = name_removal

    def drop_update(self, job: Job, number: int, client: ClientId) -> Member:
        """Take an update back, or the aggregate for the name `AGGREGATE`, and return what it was.

        Raises:
            NotFound: if the round has no such update, or the job was deleted meanwhile.
            RoundCommitted: if the round is committed.
        """
        self._require_open(job, number)
        if dropped := self._drop_if_there(job, number, client):
            self._rounds.require(job)
            return dropped
        stored = self._openings.read_open(job, number).by_client
        raise unknown(f"update in open round {number}", client, map(str, stored))

    def drop_round(self, job: Job, number: int) -> list[Member]:
        """Take back all updates and the aggregate of an open round, and return what they were.

        Raises:
            NotFound: if the round was never opened, or the job was deleted meanwhile.
            RoundCommitted: if the round is committed.
        """
        self._require_open(job, number)
        members = self._openings.read_open(job, number).members
        clients = [*(member.client for member in members), AGGREGATE]
        dropped = [self._drop_if_there(job, number, client) for client in clients]
        self._rounds.require(job)
        return [member for member in dropped if member]

    def _drop_if_there(self, job: Job, number: int, client: ClientId) -> Member | None:
        while True:
            place = self._records.read_place(job, number, client)
            if place.member is None:
                return None
            with suppress(PreconditionFailed):  # somebody replaced it: look again
                self._drop(job, number, place, place.member)
                return place.member

    def _require_open(self, job: Job, number: int) -> None:
        if self._records.read_record(job, number):
            raise RoundCommitted(f"round {number} of job {job.id!r} is committed; nothing is taken back from it")

    def _drop(self, job: Job, number: int, place: Place, member: Member) -> None:
        """Take steps 2 to 5."""
        mark = mark_removal(self._store, job, number, place, self._name_removal())
        take_out_of_statistics(self._store, job, number, place.client)
        record = self._records.read_record(job, number)
        if record and record.find(place.client):
            key = layout.member(job.home, number, place.client)
            with suppress(PreconditionFailed):
                self._store.put(key, to_bytes(member.to_json()), if_match=mark)
            raise RoundCommitted(f"round {number} of job {job.id!r} was committed with {place.client!r}")
        note_withdrawal(self._store, job, number, member, self._time.now())
        self._store.delete(layout.tensors(job.home, number, place.client, member.upload))
