"""What was acknowledged, and whether it is still there."""

import hashlib
import threading
from dataclasses import dataclass

from flstore_core.client import FLStore, Receipt
from flstore_core.errors import FLStoreError


@dataclass(frozen=True)
class Entry:
    """An update that was acknowledged."""

    job: str
    round: int
    client: str
    sha256: str
    nbytes: int

    def __str__(self) -> str:
        return f"{self.job}/{self.round}/{self.client}"


class Ledger:
    """The acknowledged updates. Safe to share between threads."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def add(self, receipt: Receipt) -> None:
        entry = Entry(receipt.job, receipt.round, receipt.client, receipt.sha256, receipt.nbytes)
        with self._lock:
            self._entries.append(entry)

    def entries(self, round: int | None = None) -> list[Entry]:  # noqa: A002 - the field's own word
        """Return the updates of one round, or all."""
        with self._lock:
            return [entry for entry in self._entries if round in (None, entry.round)]

    def read_back(self, store: FLStore) -> str:
        """Read every update and compare its hash; raise `AssertionError` naming those that are lost."""
        entries = self.entries()
        lost = [f"{entry} ({why})" for entry in entries if (why := _why_lost(store, entry))]
        if lost:
            raise AssertionError(f"{len(lost)} of {len(entries)} acknowledged updates are lost: {', '.join(lost)}")
        return (
            f"{len(entries)} updates, {sum(entry.nbytes for entry in entries) / 1e9:.2f} GB, every hash as acknowledged"
        )


def _why_lost(store: FLStore, entry: Entry) -> str | None:
    try:
        body = store.download_raw(entry.job, entry.round, entry.client)
    except FLStoreError as error:
        return error.code
    sha256 = hashlib.sha256(body).hexdigest()
    return None if sha256 == entry.sha256 else f"has the hash {sha256}"
