"""Tells whether a Knative service differs from what the controller applied, and whether somebody keeps changing it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from flstore_core.ids import ShardId
from services.placement.kube.errors import ObjectConflict
from services.placement.kube.resources import Json
from services.placement.timing import Time

MOST_CORRECTIONS = 5
WINDOW_S = 60.0
"""More than `MOST_CORRECTIONS` of one service within this time mean that somebody else insists on the change."""


@dataclass
class _Record:
    """What is remembered about one service."""

    digest: str = ""
    """Hash of the body that was applied last."""
    generation: int = 0
    """Number that the server gave the specification when it was applied."""
    corrected_at: list[float] = field(default_factory=list)
    """Monotonic times of the latest corrections, in seconds."""


class DriftDetector:
    """Remembers what was applied to the service of each backend."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._records: dict[ShardId, _Record] = {}

    def has_drifted(self, backend: ShardId, desired: Json, existing: Json) -> bool:
        """Say whether `existing` may differ from `desired`.

        The specification is compared by its generation, a number that the server raises with every change of it. A
        comparison of fields would take the defaults that the server fills in for changes. Labels and owners do not
        count in the generation, so they are compared directly.
        """
        record = self._records.get(backend, _Record())
        metadata, expected = existing["metadata"], desired["metadata"]
        return (
            record.digest != _digest(desired)
            or metadata.get("generation") != record.generation
            or not expected["labels"].items() <= (metadata.get("labels") or {}).items()
            or not _has_owners(metadata.get("ownerReferences") or (), expected["ownerReferences"])
        )

    def note_correction(self, backend: ShardId) -> None:
        """Count a correction that is about to be made; raise `ObjectConflict` if there were too many lately."""
        now = self._time.monotonic()
        record = self._records.setdefault(backend, _Record())
        record.corrected_at = [at for at in record.corrected_at if now - at < WINDOW_S]
        if len(record.corrected_at) >= MOST_CORRECTIONS:
            raise ObjectConflict(
                f"somebody else changed the Knative service of {backend} {MOST_CORRECTIONS} times within "
                f"{WINDOW_S:.0f} s; its metadata.managedFields say who; leave its specification to this controller"
            )
        record.corrected_at.append(now)

    def note_applied(self, backend: ShardId, desired: Json, written: Json) -> None:
        """Remember that `desired` was applied and that the server answered with `written`."""
        record = self._records.setdefault(backend, _Record())
        record.digest, record.generation = _digest(desired), written["metadata"]["generation"]

    def forget(self, backend: ShardId) -> None:
        self._records.pop(backend, None)


def _digest(body: Json) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _has_owners(references: Iterable[Json], expected: Iterable[Json]) -> bool:
    return all(any(owner.items() <= reference.items() for reference in references) for owner in expected)
