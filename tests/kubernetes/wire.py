"""A proxy before the API server, for what a server of one's own or a real one does not do on demand: it refuses,
breaks off, forgets, and notes every call."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.kubernetes.apiserver import serving
from tests.kubernetes.objects import Refusal

Call = tuple[str, str, str, str]
"""Verb, API group, resource, subresource, as a Role names them."""

_PATH = re.compile(
    r"/api(?:s/(?P<group>[^/]+))?/[^/]+/namespaces/[^/]+/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>.+))?)?"
)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
APPLY = "application/apply-patch+yaml"


@dataclass
class Wire:
    """What lies between the controller and the server."""

    upstream: str
    headers: dict[str, str] = field(default_factory=dict)
    ssl: Any = None
    calls: list[Call] = field(default_factory=list)
    down: bool = False
    """No connection gets an answer."""
    denied: set[tuple[str, str]] = field(default_factory=set)
    """(verb, resource) pairs that are answered 403."""
    cut_off: set[str] = field(default_factory=set)
    """Controllers that get no answer."""
    frozen: bool = False
    """Calls are taken and never answered."""
    unknown: set[str] = field(default_factory=set)
    """Resources that the server does not know."""
    hung_up: int = 0
    """Calls that got no answer."""
    expired: set[str] = field(default_factory=set)
    """Resources whose next watch is told that its version is gone."""
    watches: set[asyncio.Transport] = field(default_factory=set)
    """Connections of the watches under way."""
    session: aiohttp.ClientSession | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        who, path = _caller(request.path)
        call = call_of(request, path)
        if self.frozen:
            await asyncio.Event().wait()
        if self.down or who in self.cut_off:
            self.hung_up += 1
            return self._hang_up(request)
        self.calls.append(call)
        verb, group, plural, _ = call
        if plural in self.unknown:
            return web.Response(status=404, text="404 page not found")
        if (verb, plural) in self.denied:
            full = f"{plural}.{group}" if group else plural
            message = f"{full} is forbidden: cannot {verb} resource {plural!r} in API group {group!r}"
            return web.json_response(Refusal(403, "Forbidden", message, kind=plural).status, status=403)
        if verb == "watch" and plural in self.expired:
            self.expired.discard(plural)
            return web.json_response(Refusal(410, "Expired", "too old resource version").status, status=410)
        return await self._pass_on(request, call)

    def cut(self) -> None:
        """Break off all watches."""
        for transport in list(self.watches):
            transport.abort()

    async def _pass_on(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        assert self.session is not None
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json"), **self.headers}
        timeout = aiohttp.ClientTimeout(total=None)
        url = self.upstream + _caller(request.path_qs)[1]
        async with self.session.request(
            request.method, url, data=await request.read(), headers=headers, ssl=self.ssl, timeout=timeout
        ) as answer:
            if answer.status == 201 and call[0] == "patch":
                self.calls.append(("create", *call[1:]))
            if call[0] == "watch" and answer.status == 200:
                return await self._stream(request, answer)
            return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")

    async def _stream(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return stream
        self.watches.add(transport)
        with suppress(ConnectionError):
            await stream.prepare(request)
            async for part in answer.content.iter_any():
                await stream.write(part)
        self.watches.discard(transport)
        return stream

    @staticmethod
    def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)


@asynccontextmanager
async def wire(
    upstream: str, headers: dict[str, str] | None = None, ssl: Any = None
) -> AsyncIterator[tuple[str, Wire]]:
    """Serve a wire to `upstream`; yield its URL and its controls."""
    between = Wire(upstream, headers or {}, ssl)
    async with aiohttp.ClientSession() as session, serving(between.handle) as url:
        between.session = session
        yield url, between


def _caller(path: str) -> tuple[str, str]:
    """Return who calls, and the path that the server knows: each controller calls by `/as/NAME`."""
    _, _, who, rest = path.split("/", 3)
    return who, f"/{rest}"


def call_of(request: web.BaseRequest, path: str) -> Call:
    """Return what a request asks for, as the server's authoriser sees it."""
    match = _PATH.fullmatch(path)
    assert match, path
    group, plural, subresource = match["group"] or "", match["plural"], match["sub"] or ""
    if request.method == "GET":
        verb = "watch" if request.query.get("watch") else "get" if match["name"] else "list"
    else:
        verb = _VERBS[request.method]
    return verb, group, plural, subresource
