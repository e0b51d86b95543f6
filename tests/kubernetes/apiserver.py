"""A Kubernetes API server of the tests' own: real HTTP, over objects in memory.

It keeps what the controller relies on: resource versions and the conflicts that follow, watches with history and its
end (410), server-side apply with owned fields, status as a subresource, generations, finalizers, owners whose
dependents go with them, and our custom resource's schema. Knative's kinds are there, Knative is not: see `knative.py`.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.kubernetes.objects import KINDS, Change, Kind, Objects, Refusal

Json = dict[str, Any]
NAMESPACE = "flstore-test"


@asynccontextmanager
async def api_server() -> AsyncIterator[tuple[str, Objects]]:
    """Serve on a free port; yield the URL and what is behind it."""
    objects = Objects()
    async with serving(_Server(objects).handle) as url:
        yield url, objects


@asynccontextmanager
async def serving(handle: Any) -> AsyncIterator[str]:
    """Serve whatever comes by `handle` on a free port."""
    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class _Server:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            kind, name, subresource = _route(request.path)
            if request.method == "GET" and request.query.get("watch") == "true":
                return await self._watch(request, kind)
            existed = len(self._objects.stored)
            body = await self._answer(request, kind, name, subresource == "status")
            return web.json_response(body, status=201 if len(self._objects.stored) > existed else 200)
        except ConnectionError:
            return web.Response()
        except Refusal as refusal:
            return web.json_response(refusal.status, status=refusal.code)
        except LookupError:
            return web.Response(status=404, text="404 page not found")

    async def _answer(self, request: web.BaseRequest, kind: Kind, name: str, status: bool) -> Json:
        if request.method == "GET":
            return self._objects.get(kind, name) if name else self._list(request, kind)
        if request.method == "DELETE":
            return await self._objects.delete(kind, name)
        body = json.loads(await request.read())
        manager = request.query.get("fieldManager", "unknown")
        if request.method == "POST":
            return await self._objects.create(kind, body, manager)
        if request.method == "PUT":
            return await self._objects.change(kind, name, manager, status, lambda _: body)
        if request.content_type == "application/apply-patch+yaml":
            force = request.query.get("force") == "true"
            return await self._objects.apply(kind, name, body, manager, force, status)
        return await self._objects.merge(kind, name, body, manager, status)

    def _list(self, request: web.BaseRequest, kind: Kind) -> Json:
        items, version = self._objects.list(kind)
        chosen = [
            {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}
            for item in items
            if selected(item, request.query.get("labelSelector", ""))
        ]
        return {"kind": f"{kind.name}List", "metadata": {"resourceVersion": str(version)}, "items": chosen}

    async def _watch(self, request: web.BaseRequest, kind: Kind) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        after = int(request.query["resourceVersion"])
        while True:
            if after < self._objects.oldest:
                gone = Refusal(410, "Expired", f"too old resource version: {after}")
                await _send(stream, "ERROR", gone.status)
                return stream
            for change in [each for each in self._objects.history if each.version > after]:
                after = change.version
                if change.kind == kind and selected(change.body, request.query.get("labelSelector", "")):
                    await _send(stream, change.what, _whole(change))
            async with self._objects.changed:
                await self._objects.changed.wait()


async def _send(stream: web.StreamResponse, what: str, body: Json) -> None:
    await stream.write(json.dumps({"type": what, "object": body}).encode() + b"\n")


def _whole(change: Change) -> Json:
    kind = change.kind
    version = f"{kind.group}/{kind.version}" if kind.group else kind.version
    return {**change.body, "apiVersion": version, "kind": kind.name}


def _route(path: str) -> tuple[Kind, str, str]:
    """Return what a path means; raise `LookupError` where there is no such kind."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[1:]) if parts[0] == "api" else (parts[1], parts[2:])
    version, _, _, plural, name, subresource, *_ = [*rest, "", ""]
    for kind in KINDS:
        if (kind.group, kind.version, kind.plural) == (group, version, plural):
            return kind, name, subresource
    raise LookupError(path)


def selected(item: Json, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    terms = [term.partition("=") for term in selector.split(",") if term]
    return all(labels.get(name) == value if equals else name in labels for name, equals, value in terms)
