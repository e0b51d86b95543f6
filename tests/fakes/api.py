"""An API server without a wire: `Api`'s methods over the objects of `tests.kubernetes.objects`, in fake time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from copy import deepcopy
from typing import Any

from services.placement.kube.api import Api, WatchEvent
from services.placement.kube.cluster import Cluster
from services.placement.kube.errors import ApiAway, ClusterError, Gone, ObjectConflict, ObjectMissing, Refused
from services.placement.kube.resources import FIELD_MANAGER, Json, Resource
from services.placement.kube.settings import KubernetesSettings
from services.placement.timing import Time
from tests.fakes.time import FakeTime
from tests.kubernetes.apiserver import selected
from tests.kubernetes.objects import KINDS, Kind, Objects, Refusal

ERRORS: dict[int, type[ClusterError]] = {404: ObjectMissing, 409: ObjectConflict, 410: Gone, 422: Refused}


class FakeApi(Api):
    """One client's way to a server that several may share. The way can be slow, be cut, and refuse."""

    def __init__(self, objects: Objects | None = None, time: FakeTime | None = None) -> None:
        super().__init__(None, "test")
        self.objects = objects or Objects()
        self._time = time or FakeTime()
        self.calls: list[tuple[str, str]] = []
        """Verb and plural of every call."""
        self.cut = False
        """Whether no call gets through."""
        self.request_s = 0.0
        """How long a request takes to the server."""
        self.answer_s = 0.0
        """How long an answer takes from the server; the call has taken effect by then."""
        self.refusals: dict[tuple[str, str], ClusterError] = {}
        """Verb and plural → the error that such calls get."""
        self._watches: set[asyncio.Event] = set()

    async def get(self, resource: Resource, name: str) -> Json:
        return await self._act("get", resource, lambda kind: self._read(kind, name))

    async def list(self, resource: Resource, selector: str = "") -> tuple[list[Json], str]:
        async def read(kind: Kind) -> Json:
            items, version = self.objects.list(kind)
            return {"items": [item for item in items if selected(item, selector)], "version": str(version)}

        answer = await self._act("list", resource, read)
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**head, **item} for item in answer["items"]], answer["version"]

    async def create(self, resource: Resource, body: Json) -> Json:
        return await self._act("create", resource, lambda kind: self.objects.create(kind, body, FIELD_MANAGER))

    async def apply(self, resource: Resource, body: Json, subresource: str = "") -> Json:
        name, status = body["metadata"]["name"], subresource == "status"
        return await self._act(
            "apply", resource, lambda kind: self.objects.apply(kind, name, body, FIELD_MANAGER, True, status)
        )

    async def merge(self, resource: Resource, name: str, body: Json) -> Json:
        return await self._act(
            "merge", resource, lambda kind: self.objects.merge(kind, name, body, FIELD_MANAGER, False)
        )

    async def replace(self, resource: Resource, body: Json) -> Json:
        name = body["metadata"]["name"]
        return await self._act(
            "replace", resource, lambda kind: self.objects.change(kind, name, FIELD_MANAGER, False, lambda _: body)
        )

    async def delete(self, resource: Resource, name: str) -> None:
        try:
            await self._act("delete", resource, lambda kind: self.objects.delete(kind, name))
        except ObjectMissing:
            return

    async def watch(
        self, resource: Resource, version: str, selector: str, opened: Callable[[], None]
    ) -> AsyncGenerator[WatchEvent, None]:
        self._admit("watch", resource)
        kind, after, dropped = _kind(resource), int(version), asyncio.Event()
        if after < self.objects.oldest:
            raise Gone("too old")
        opened()
        self._watches.add(dropped)
        try:
            while not dropped.is_set():
                for change in [each for each in self.objects.history if each.version > after]:
                    after = change.version
                    if change.kind == kind and selected(change.body, selector):
                        yield change.what, self._whole(resource, change.body)
                await self._wait_for_change(after, dropped)
        finally:
            self._watches.discard(dropped)

    def drop_watches(self) -> None:
        """Break off all watches: they end as if the server had closed the connection."""
        for dropped in list(self._watches):
            dropped.set()

    async def close(self) -> None:
        self.cut = True

    async def _wait_for_change(self, after: int, dropped: asyncio.Event) -> None:
        async def changed() -> None:
            async with self.objects.changed:
                await self.objects.changed.wait_for(lambda: any(each.version > after for each in self.objects.history))

        waiting = [asyncio.ensure_future(changed()), asyncio.ensure_future(dropped.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.wait(waiting)

    async def _act(self, verb: str, resource: Resource, act: Callable[[Kind], Awaitable[Json]]) -> Json:
        await self._time.sleep(self.request_s)
        self._admit(verb, resource)
        try:
            body = await act(_kind(resource))
        except Refusal as refusal:
            raise ERRORS[refusal.code](str(refusal)) from refusal
        await self._time.sleep(self.answer_s)
        if self.cut:
            raise ApiAway("the connection is cut")
        return self._whole(resource, body)

    def _admit(self, verb: str, resource: Resource) -> None:
        self.calls.append((verb, resource.plural))
        if self.cut:
            raise ApiAway("the connection is cut")
        if refusal := self.refusals.get((verb, resource.plural)):
            raise refusal

    async def _read(self, kind: Kind, name: str) -> Json:
        return self.objects.get(kind, name)

    @staticmethod
    def _whole(resource: Resource, body: Json) -> Json:
        return {**deepcopy(body), "apiVersion": resource.api_version, "kind": resource.kind}


def make_cluster(api: Api, time: Time, **settings: Any) -> Cluster:
    """Return a cluster whose release has no owner, unless `settings` name one."""
    fields = {
        "namespace": "test",
        "shard_image": "flstore:test",
        "identity": "one",
        "address": "http://one",
        **settings,
    }
    return Cluster(api, KubernetesSettings(**fields), time)


def _kind(resource: Resource) -> Kind:
    return next(kind for kind in KINDS if (kind.group, kind.plural) == (resource.group, resource.plural))
