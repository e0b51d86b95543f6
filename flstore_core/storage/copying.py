"""Copies what one store holds into another one. It may be stopped at any moment and started again.

Every object is created only if it is not there, and read back: it counts once its SHA-256 is that of what was sent. One
that is there already is compared by the same hash, and is not sent again. So a second run goes on where the first was
stopped, and a run that has nothing to send has compared everything.

What a record names is written before it (`layout.rank`), so that whoever looks at the target meanwhile finds jobs
that are whole. FLStore replaces few objects, all of them records. One that differs was changed after an earlier run, or
belongs to somebody who uses the target: it is replaced only if the caller says so, and only as it was when compared.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from itertools import groupby
from typing import Any

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed, StoreUnavailable
from flstore_core.storage.base import ObjectInfo, ObjectStore
from flstore_core.storage.conditions import check_conditions

WORKERS = 4
"""Objects that are copied at once, each of them whole in memory."""

Progress = Callable[[int, int], None]
"""Is called with the bytes that have been dealt with, and with those of all objects."""


class Outcome(Enum):
    """What became of one object."""

    CREATED = auto()
    REPLACED = auto()
    PRESENT = auto()
    """It was there with the same bytes."""
    GONE = auto()
    """Its source was deleted after it had been listed."""
    DIFFERS = auto()
    """It is there with other bytes, and was left as it is."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a run did."""

    created: int
    replaced: int
    present: int
    gone: int
    nbytes: int
    """Bytes of the objects that were created or replaced."""
    differing: tuple[str, ...]
    """Keys that have other bytes in the target."""
    only_in_target: tuple[str, ...]
    """Keys that the source does not have: deleted there since an earlier run, or of the target's own users."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def copy_store(
    source: ObjectStore, target: ObjectStore, *, replace: bool = False, progress: Progress | None = None
) -> Copied:
    """Copy all objects but those that are made anew (`layout.REMADE`).

    With `replace`, objects that differ are replaced. Raises `UnsuitableStore` if the target does not keep conditional
    writes, and `StoreUnavailable` if a store does not answer or gives back other bytes than it was sent.
    """
    check_conditions(target)
    there = {info.key: info for info in _listed(target)}
    here = sorted(_listed(source), key=lambda info: (layout.rank(info.key), info.key))
    total, done, written = sum(info.size for info in here), 0, 0
    outcomes: dict[str, Outcome] = {}
    copy_one = partial(_copy, source, target, there, replace)
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="copy") as pool:
        for _, group in groupby(here, key=lambda info: layout.rank(info.key)):
            infos = list(group)
            for info, outcome in zip(infos, pool.map(copy_one, infos), strict=True):
                outcomes[info.key] = outcome
                done += info.size
                written += info.size * (outcome in (Outcome.CREATED, Outcome.REPLACED))
                if progress:
                    progress(done, total)
    return _summary(outcomes, written, there.keys() - outcomes.keys())


def _listed(store: ObjectStore) -> Iterable[ObjectInfo]:
    return (info for info in store.list() if not info.key.startswith(layout.REMADE))


def _copy(
    source: ObjectStore, target: ObjectStore, there: dict[str, ObjectInfo], replace: bool, info: ObjectInfo
) -> Outcome:
    try:
        if info.key in there:
            return _compare(source, target, info.key, replace)
        body = source.get(info.key)
    except NotFound:
        return Outcome.GONE
    try:
        target.put(info.key, body, if_none_match=True)
    except PreconditionFailed:  # somebody else created it after the listing
        return _compare(source, target, info.key, replace)
    _check(target, info.key, body)
    return Outcome.CREATED


def _compare(source: ObjectStore, target: ObjectStore, key: str, replace: bool) -> Outcome:
    etag = target.stat(key).etag
    if _digest(source, key) == _digest(target, key):
        return Outcome.PRESENT
    if not replace:
        return Outcome.DIFFERS
    body = source.get(key)
    try:
        target.put(key, body, if_match=etag)
    except PreconditionFailed:
        return Outcome.DIFFERS
    _check(target, key, body)
    return Outcome.REPLACED


def _check(target: ObjectStore, key: str, body: bytes) -> None:
    if _digest(target, key) != hashlib.sha256(body).digest():
        raise StoreUnavailable(
            f"object {key!r} came back from the target with another SHA-256 than it was sent with; copy again with "
            "replacement once the target is mended"
        )


def _digest(store: ObjectStore, key: str) -> bytes:
    digest = hashlib.sha256()
    for chunk in store.stream(key):
        digest.update(chunk)
    return digest.digest()


def _summary(outcomes: dict[str, Outcome], written: int, only_in_target: Iterable[str]) -> Copied:
    counts = Counter(outcomes.values())
    return Copied(
        created=counts[Outcome.CREATED],
        replaced=counts[Outcome.REPLACED],
        present=counts[Outcome.PRESENT],
        gone=counts[Outcome.GONE],
        nbytes=written,
        differing=tuple(sorted(key for key, outcome in outcomes.items() if outcome is Outcome.DIFFERS)),
        only_in_target=tuple(sorted(only_in_target)),
    )
