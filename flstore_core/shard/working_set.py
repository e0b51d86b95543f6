"""The manifest of what a shard holds, kept in the store, so that the shard comes back warm after it was at zero.

It has two lists of entries. Version 0.1.0 reads `entries` and ends if it does not know a field there. So what it could
not read is in `later`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed
from flstore_core.formats import from_known, require_format
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.records import Job
from flstore_core.shard.protocol import MemberRef, SliceRef
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import CorruptDocument, load_json, load_json_with_etag, save_json


class Holder(Protocol):
    """What holds slices: an `Engine`."""

    def working_set(self) -> Sequence[tuple[SliceRef, MemberRef]]:
        """Return the slices held and whose they are."""
        ...


def save(store: ObjectStore, shard: str, holder: Holder) -> None:
    """Write what `holder` holds as the shard's manifest."""
    lists: dict[str, list[Any]] = {"entries": [], "later": []}
    for part, member in holder.working_set():
        is_later = part.generation or member.upload or member.is_delta
        lists["later" if is_later else "entries"].append({"part": part.to_json(), "member": member.to_json()})
    save_json(store, layout.working_set(shard), lists)


def forget_client(store: ObjectStore, job: Job, client: ClientId) -> list[str]:
    """Take a client's slices out of all manifests, and return the keys of those that had some.

    A manifest that cannot be read is passed over: no shard can read it either.
    """
    keys = [info.key for info in store.list(layout.working_sets_prefix())]
    return [key for key in keys if _forget_in(store, key, job, client)]


def _forget_in(store: ObjectStore, key: str, job: Job, client: ClientId) -> bool:
    while True:
        with suppress(PreconditionFailed):  # the shard has left once more
            try:
                lists, etag = load_json_with_etag(store, key)
            except (NotFound, CorruptDocument):
                return False
            kept = {name: _without(lists[name], job, client) for name in ("entries", "later") if name in lists}
            if all(kept[name] == lists[name] for name in kept):
                return False
            save_json(store, key, {**lists, **kept}, if_match=etag)
            return True


def _without(entries: Sequence[Mapping[str, Any]], job: Job, client: ClientId) -> list[Mapping[str, Any]]:
    return [
        entry
        for entry in entries
        if (entry["member"]["client"], from_known(SliceRef, entry["part"]).home) != (client, job.home)
    ]


def load(store: ObjectStore, shard: str) -> Iterator[tuple[SliceRef, Key, Pattern, MemberRef]]:
    """Yield what the shard held when it last left, the newest round first; nothing if it has no manifest.

    Raises:
        NewerFormat: if a later version wrote the manifest in a format of its own.
    """
    try:
        lists = load_json(store, layout.working_set(shard))
    except NotFound:
        return
    require_format("the working set of a shard", lists)
    for entry in sorted([*lists["entries"], *lists.get("later", ())], key=lambda entry: -entry["member"]["round"]):
        part, member = from_known(SliceRef, entry["part"]), from_known(MemberRef, entry["member"])
        pattern = Pattern.P1 if member.client == AGGREGATE else Pattern.P2
        yield part, member.key(part), pattern, member
