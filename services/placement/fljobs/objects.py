"""All `FLJob` objects together: which of several speaks for a job, and how long shards should stay for all of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from flstore_core.errors import FLStoreError
from flstore_core.ids import JobId
from services.placement.fljobs.spec import compute_retention, parse_declaration, parse_job_id
from services.placement.kube.resources import ORIGIN, Json, name_of


class Objects:
    """A view of the objects by name, as an informer keeps them."""

    def __init__(self, items: Mapping[str, Json]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._items))

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def get(self, name: str) -> Json | None:
        return self._items.get(name)

    def find_claimant(self, job: JobId) -> str | None:
        """Return the name of the object that speaks for a job, or None.

        If several objects name the job, those that a person made come before mirrors, and then the oldest comes first.
        """
        claims = [item for item in self._items.values() if _claims(item, job)]
        return name_of(min(claims, key=_seniority)) if claims else None

    def compute_longest_retention(self, window_s: int) -> float:
        """Return the longest retention in seconds that any object asks for (`compute_retention`); 0 if none does."""
        return max((_retention(item, window_s) for item in self._items.values()), default=0.0)


def _claims(item: Json, job: JobId) -> bool:
    try:
        return parse_job_id(item) == job and "deletionTimestamp" not in item["metadata"]
    except FLStoreError:
        return False


def _seniority(item: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Return what orders objects that name the same job, the one that speaks for it first."""
    mirrored = ORIGIN in (item["metadata"].get("labels") or {})
    return mirrored, item["metadata"].get("creationTimestamp", ""), name_of(item)


def _retention(item: Json, window_s: int) -> float:
    try:
        return compute_retention(parse_declaration(item), window_s)
    except FLStoreError:
        return 0.0
