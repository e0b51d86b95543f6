"""Whether a Knative service is still as it was applied, and whether somebody keeps changing it."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from flstore_core.ids import ShardId
from services.placement.kube.errors import ObjectConflict
from services.placement.kube.resources import Json
from services.placement.kube.timing import Time

PATIENCE = 5
"""Corrections of one service …"""
WITHIN_S = 60.0
"""… within so many seconds that mean that somebody else insists."""


@dataclass
class _Record:
    digest: str = ""
    generation: int = 0
    corrected_at: list[float] = field(default_factory=list)


class Upkeep:
    """Remembers what was applied to each service."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._records: dict[ShardId, _Record] = {}

    def differs(self, shard: ShardId, wanted: Json, existing: Json) -> bool:
        """Say whether `existing` is not known to be as `wanted`.

        The specification is compared by its generation, which the server raises with every change of it, so that the
        defaults it fills in do not matter; labels and owners, which have no generation, are compared themselves.
        """
        record = self._records.get(shard, _Record())
        metadata, expected = existing["metadata"], wanted["metadata"]
        return (
            record.digest != _digest(wanted)
            or metadata.get("generation") != record.generation
            or not expected["labels"].items() <= (metadata.get("labels") or {}).items()
            or not all(_among(owner, metadata.get("ownerReferences") or ()) for owner in expected["ownerReferences"])
        )

    def correct(self, shard: ShardId) -> None:
        """Note that a service is about to be put right; raise `ObjectConflict` when that has happened too often."""
        now = self._time.monotonic()
        record = self._records.setdefault(shard, _Record())
        record.corrected_at = [at for at in record.corrected_at if now - at < WITHIN_S]
        if len(record.corrected_at) >= PATIENCE:
            raise ObjectConflict(
                f"the Knative service of {shard} was changed {PATIENCE} times within {WITHIN_S:.0f} s by somebody "
                "else; see its metadata.managedFields for who, and leave its specification to this controller"
            )
        record.corrected_at.append(now)

    def applied(self, shard: ShardId, wanted: Json, written: Json) -> None:
        record = self._records.setdefault(shard, _Record())
        record.digest, record.generation = _digest(wanted), written["metadata"]["generation"]

    def forget(self, shard: ShardId) -> None:
        self._records.pop(shard, None)


def _digest(value: Json) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _among(owner: Json, references: Any) -> bool:
    return any(owner.items() <= reference.items() for reference in references)
