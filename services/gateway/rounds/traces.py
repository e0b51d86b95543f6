"""What a client has left in a round, and how it is taken away, step by step."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed
from flstore_core.ids import ClientId
from flstore_core.records import Job, Member
from flstore_core.storage import ObjectStore
from services.gateway.rounds.records import Records
from services.gateway.rounds.removal import mark_removal, take_out_of_statistics
from services.gateway.rounds.settlement import Settlement, drop_member, drop_rows


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken away."""

    updates: int = 0
    """Records of updates."""
    files: int = 0
    """Files with tensors."""
    statistics: int = 0
    """Rounds whose statistics had a row of the client."""

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(self.updates + other.updates, self.files + other.files, self.statistics + other.statistics)


class Traces:
    """Finds and removes what clients have left in rounds. Safe to share between threads.

    Args:
        name_removal: returns a name that no removal had before.
    """

    def __init__(self, store: ObjectStore, records: Records, name_removal: Callable[[], str]) -> None:
        self._store = store
        self._records = records
        self._settlement = Settlement(store)
        self._name_removal = name_removal

    def find(self, job: Job, number: int, client: ClientId) -> tuple[str, ...]:
        """Return the names of all uploads of a client that a round has something of, sorted."""
        member = self._records.read_member(job, number, client)
        own = {upload_of(key) for key in self._list_files(job, number, client)}
        return tuple(sorted(own | ({member.upload} if member else set())))

    def remove(self, job: Job, number: int, client: ClientId, uploads: Collection[str] | None = None) -> Removed:
        """Erase a client from one round.

        Args:
            uploads: what may be erased. None is whatever there is.
        """
        files = {key for key in self._list_files(job, number, client) if uploads is None or upload_of(key) in uploads}
        removal = self._name_removal()
        member, is_later = self._mark(job, number, client, removal, uploads)
        earlier = {upload_of(key) for key in files} | ({member.upload} if member else set())
        rows = not is_later and self._remove_entries(job, number, client, removal, earlier)
        if member:
            files.add(layout.tensors(job.home, number, client, member.upload))
        for key in sorted(files):
            self._store.delete(key)
        return Removed(int(member is not None), len(files), int(rows))

    def _mark(
        self, job: Job, number: int, client: ClientId, removal: str, uploads: Collection[str] | None
    ) -> tuple[Member | None, bool]:
        """Put the mark of a removal into the client's place; return the member that lay there.

        Returns:
            None and True, without a mark, if there is an update that may not be erased: the client has come back.
        """
        while True:
            place = self._records.read_place(job, number, client)
            if place.member and uploads is not None and place.member.upload not in uploads:
                return None, True
            with suppress(PreconditionFailed):
                mark_removal(self._store, job, number, place, removal)
                return place.member, False

    def _remove_entries(self, job: Job, number: int, client: ClientId, removal: str, earlier: Collection[str]) -> bool:
        """Take the client out of a round's statistics and record; return whether the statistics had it.

        Args:
            earlier: the uploads that were there before the mark of the removal.
        """

        def counts(upload: str) -> bool:
            if upload in earlier:
                return False
            member = self._records.read_member(job, number, client)
            return member is not None and member.upload == upload  # it has taken the mark's place

        before = take_out_of_statistics(self._store, job, number, client)
        drop_member(self._store, layout.round_record(job.home, number), client, counts)
        after = drop_rows(self._store, layout.statistics(job.home, number), {client}, mark=removal)
        self._clear_place(job, number, client)
        return before or after

    def _clear_place(self, job: Job, number: int, client: ClientId) -> None:
        """Delete the mark of a removal from a committed round, unless an update that came after it lies in its place.

        No other can be counted there any more.
        """
        with suppress(NotFound):
            if not self._settlement.read(job.home, number).find(client):
                self._store.delete(layout.member(job.home, number, client))

    def _list_files(self, job: Job, number: int, client: ClientId) -> set[str]:
        """Return the keys of all files that uploads of a client have written to a round."""
        own = layout.tensors(job.home, number, client, "*").partition("*")[0]
        keys = [info.key for info in self._store.list(layout.clients_prefix(job.home, number))]
        return {key for key in keys if key == layout.tensors(job.home, number, client) or key.startswith(own)}


def upload_of(key: str) -> str:
    """Return the name of the upload that a file belongs to; "" for one of version 0.1.0."""
    return key.rpartition("/")[2].removesuffix(".safetensors").partition("~")[2]
