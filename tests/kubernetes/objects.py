"""The objects of an API server in memory: versions, history, finalizers, owners."""

import asyncio
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.kubernetes import definition
from tests.kubernetes.ownership import FieldConflict, Owners, apply, merged, took

Json = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """What is known of a kind."""

    group: str
    version: str
    plural: str
    name: str
    status: bool = False
    """Whether its status can only be written as a subresource."""

    @property
    def full_name(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


KINDS = (
    Kind("", "v1", "pods", "Pod", status=True),
    Kind("", "v1", "configmaps", "ConfigMap"),
    Kind("", "v1", "events", "Event"),
    Kind("coordination.k8s.io", "v1", "leases", "Lease"),
    Kind("serving.knative.dev", "v1", "services", "Service", status=True),
    Kind("flstore.dev", "v1alpha1", "fljobs", "FLJob", status=True),
)


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, code: int, reason: str, message: str, name: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.code = code
        details = {"name": name, "kind": kind} if name else {"kind": kind}
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            "details": details,
        }


@dataclass
class Stored:
    body: Json
    owners: Owners = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    version: int
    kind: Kind
    what: str
    body: Json


class Objects:
    """One namespace's objects by kind and name."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], Stored] = {}
        self.history: list[Change] = []
        self.oldest = 0
        """Watches from before this version are told that it is gone."""
        self.changed = asyncio.Condition()
        self._version = 0

    def list(self, kind: Kind) -> tuple[list[Json], int]:
        items = [stored.body for (plural, _), stored in sorted(self.stored.items()) if plural == kind.full_name]
        return items, self._version

    def get(self, kind: Kind, name: str) -> Json:
        return self._find(kind, name).body

    async def create(self, kind: Kind, body: Json, manager: str) -> Json:
        name = body["metadata"]["name"]
        if (kind.full_name, name) in self.stored:
            raise Refusal(409, "AlreadyExists", f'{kind.full_name} "{name}" already exists', name, kind.plural)
        if body["metadata"].get("resourceVersion"):
            raise Refusal(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        stored = Stored({})
        took({}, body, stored.owners, manager)
        return await self._add(kind, name, body, stored)

    async def apply(self, kind: Kind, name: str, body: Json, manager: str, force: bool, status: bool) -> Json:
        if (kind.full_name, name) not in self.stored:
            if status:
                raise self._missing(kind, name)
            stored = Stored({})
            return await self._add(kind, name, apply(body, stored.owners, body, manager, force), stored)
        stored = self._find(kind, name)
        part = {"status": body.get("status", {})} if status else {k: v for k, v in body.items() if k != "status"}
        try:
            after = apply(stored.body, stored.owners, part, f"{manager}{' status' if status else ''}", force)
        except FieldConflict as conflict:
            raise Refusal(409, "Conflict", f"Apply failed: {conflict}", name, kind.plural) from conflict
        return await self._replace(kind, stored, after)

    async def change(self, kind: Kind, name: str, manager: str, status: bool, edit: Callable[[Json], Json]) -> Json:
        """Replace an object by what `edit` makes of it, if it is still at the version that `edit` says."""
        stored = self._find(kind, name)
        before, after = stored.body, edit(deepcopy(stored.body))
        expected = after["metadata"].get("resourceVersion", before["metadata"]["resourceVersion"])
        if expected != before["metadata"]["resourceVersion"]:
            message = f'Operation cannot be fulfilled on {kind.full_name} "{name}": the object has been modified'
            raise Refusal(409, "Conflict", message, name, kind.plural)
        if kind.status:
            kept = "metadata spec" if status else "status"
            after = {k: v for k, v in after.items() if k not in kept.split()} | {
                k: v for k, v in before.items() if k in kept.split()
            }
        took(before, after, stored.owners, manager)
        return await self._replace(kind, stored, after)

    async def merge(self, kind: Kind, name: str, patch: Json, manager: str, status: bool) -> Json:
        return await self.change(kind, name, manager, status, lambda body: dict(merged(body, patch)))

    async def delete(self, kind: Kind, name: str) -> Json:
        stored = self._find(kind, name)
        if stored.body["metadata"].get("finalizers"):
            if "deletionTimestamp" not in stored.body["metadata"]:
                body = deepcopy(stored.body)
                body["metadata"]["deletionTimestamp"] = _now()
                await self._record(kind, stored, body, "MODIFIED")
            return stored.body
        del self.stored[kind.full_name, name]
        await self._record(kind, stored, deepcopy(stored.body), "DELETED")
        await self._collect()
        return stored.body

    def expire(self) -> None:
        """Forget the history: whoever watches from here on must list first."""
        self.oldest = self._version + 1
        self._version += 1

    async def _add(self, kind: Kind, name: str, body: Json, stored: Stored) -> Json:
        body = deepcopy(body)
        if kind.status:
            body.pop("status", None)
        body["metadata"] |= {"name": name, "uid": str(uuid4()), "creationTimestamp": _now(), "generation": 1}
        body = self._admit(kind, body, None)
        self.stored[kind.full_name, name] = stored
        await self._record(kind, stored, body, "ADDED")
        await self._collect()
        return stored.body

    async def _replace(self, kind: Kind, stored: Stored, after: Json) -> Json:
        before, metadata = stored.body, stored.body["metadata"]
        kept = ("uid", "creationTimestamp", "generation", "name", "namespace", "deletionTimestamp", "resourceVersion")
        after["metadata"] = {**after["metadata"], **{key: metadata[key] for key in kept if key in metadata}}
        after = self._admit(kind, after, before)
        if after == before:
            return before
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        if "deletionTimestamp" in metadata and not after["metadata"].get("finalizers"):
            del self.stored[kind.full_name, metadata["name"]]
            await self._record(kind, stored, after, "DELETED")
            await self._collect()
        else:
            await self._record(kind, stored, after, "MODIFIED")
        return stored.body

    def _admit(self, kind: Kind, body: Json, before: Json | None) -> Json:
        if kind.plural != "fljobs":
            return body
        body = definition.admitted(body)
        if complaints := definition.complaints(body, before):
            message = f'FLJob.flstore.dev "{body["metadata"]["name"]}" is invalid: {"; ".join(complaints)}'
            raise Refusal(422, "Invalid", message, body["metadata"]["name"], kind.plural)
        return body

    async def _record(self, kind: Kind, stored: Stored, body: Json, what: str) -> None:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        stored.body = body
        self.history.append(Change(self._version, kind, what, deepcopy(body)))
        async with self.changed:
            self.changed.notify_all()

    async def _collect(self) -> None:
        """Remove what only owners that are gone own."""
        living = {stored.body["metadata"]["uid"] for stored in self.stored.values()}
        for (plural, name), stored in list(self.stored.items()):
            owners = stored.body["metadata"].get("ownerReferences") or []
            if owners and not any(owner["uid"] in living for owner in owners) and (plural, name) in self.stored:
                await self.delete(next(kind for kind in KINDS if kind.full_name == plural), name)

    def _find(self, kind: Kind, name: str) -> Stored:
        try:
            return self.stored[kind.full_name, name]
        except KeyError:
            raise self._missing(kind, name) from None

    @staticmethod
    def _missing(kind: Kind, name: str) -> Refusal:
        return Refusal(404, "NotFound", f'{kind.full_name} "{name}" not found', name, kind.plural)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
