"""The manifest of what a shard holds, kept in the store, so that the shard comes back warm after it was at zero."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Protocol

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.ids import AGGREGATE
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.records import from_known
from flstore_core.shard.protocol import MemberRef, SliceRef
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json, save_json


class Holder(Protocol):
    """What holds slices: an `Engine`."""

    def working_set(self) -> Sequence[tuple[SliceRef, MemberRef]]:
        """Return the slices held and whose they are."""
        ...


def save(store: ObjectStore, shard: str, holder: Holder) -> None:
    """Write what `holder` holds as the shard's manifest."""
    entries = [{"part": part.to_json(), "member": asdict(member)} for part, member in holder.working_set()]
    save_json(store, layout.working_set(shard), {"entries": entries})


def load(store: ObjectStore, shard: str) -> Iterator[tuple[SliceRef, Key, Pattern, MemberRef]]:
    """Yield what the shard held when it last left, the newest round first; nothing if it has no manifest."""
    try:
        entries = load_json(store, layout.working_set(shard))["entries"]
    except NotFound:
        return
    for entry in sorted(entries, key=lambda entry: -entry["member"]["round"]):
        part, member = from_known(SliceRef, entry["part"]), from_known(MemberRef, entry["member"])
        pattern = Pattern.P1 if member.client == AGGREGATE else Pattern.P2
        yield part, member.key(part), pattern, member
