"""What follows from an archive's records: how a base is named, which metrics go beside a file, what updates are."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from flstore_core.archives.base import file_of
from flstore_core.archives.reading import Archive
from flstore_core.errors import InvalidTensors
from flstore_core.header import MAX_HEADER_BYTES, MAX_PADDED_BYTES, parse_header
from flstore_core.records import Member, Metrics, Round, Updates

NONE = "none"
"""Names no base."""


class Bases:
    """Names rounds' bases, so that each comes out as it is in the archive. Rounds are added in their order.

    What was named is named again. What followed from the rounds that there were is not, if it follows from those that
    there are now; jobs of version 0.1.0, and rounds whose named base was replaced, have others.
    """

    def __init__(self) -> None:
        self._newest: int | None = None
        self._hashes: set[str] = set()

    def name_of(self, record: Round) -> str | None:
        named = record.base_named
        if named is not None and (len(named) < 64 or named in self._hashes):
            return named
        if named is None and record.base == self._newest:
            return None
        return NONE if record.base is None else str(record.base)

    def add(self, record: Round) -> None:
        if record.aggregate:
            self._newest = record.number
            self._hashes.add(record.aggregate.sha256)


def metrics_beside(archive: Archive, member: Member, metrics: Metrics) -> Metrics:
    """Return what of a model's metrics its file does not say itself."""
    in_file = _metrics_in(archive, member) if metrics else {}
    return {name: value for name, value in metrics.items() if name not in in_file or not _same(value, in_file[name])}


def updates_in(archive: Archive) -> Literal["weights", "delta"] | None:
    """Return what the job's updates are; None if neither whoever created it nor its rounds say one thing.

    A client that was erased takes with it what showed its round's updates to be differences. So what all rounds once
    showed is said now.
    """
    manifest = archive.manifest
    said = Updates(manifest.settings["updates"])
    if manifest.updates_stated:
        return said.value
    records = map(archive.round, manifest.rounds)
    shown = {record.updates or said for record in records if record.members and record.committed}
    return Updates.DELTA.value if shown == {Updates.DELTA} else None


def _metrics_in(archive: Archive, member: Member) -> Mapping[str, Any]:
    file = file_of(member)
    length = int.from_bytes(archive.start(file, 8), "little")
    try:
        header = parse_header(memoryview(archive.start(file, 8 + min(length, MAX_PADDED_BYTES))), MAX_HEADER_BYTES)
        metrics = json.loads(header.metadata.get("metrics", "{}"))
    except (InvalidTensors, ValueError, RecursionError):
        return {}  # the gateway will say what is wrong
    return metrics if isinstance(metrics, dict) else {}


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
