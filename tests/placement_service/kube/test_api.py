"""The API over a real connection: what is sent, and what each refusal becomes."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from services.placement.kube.api import Api
from services.placement.kube.connect import connect_to
from services.placement.kube.errors import (
    ApiAway,
    ClusterError,
    Gone,
    KindMissing,
    NotPermitted,
    ObjectConflict,
    ObjectMissing,
    Refused,
)
from services.placement.kube.resources import CONFIG_MAPS, FLJOBS, KNATIVE_SERVICES, Json
from tests.kubernetes.apiserver import serving

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def connected(handle: Handler) -> AsyncIterator[Api]:
    async with serving(handle) as url:
        api = connect_to(url, "fl")
        try:
            yield api
        finally:
            await api.close()


def answering(status: int, body: Any) -> Handler:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode())

    return handle


def refusal(message: str, name: str = "") -> Json:
    return {"kind": "Status", "message": message, "details": {"name": name} if name else {}}


async def test_each_verb_is_the_request_that_kubernetes_documents() -> None:
    seen: list[tuple[str, str, dict[str, str], str, Any]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        raw = await request.read()
        kind = request.content_type if raw else ""
        seen.append((request.method, request.path, dict(request.query), kind, json.loads(raw) if raw else None))
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}}]})

    body = {**FLJOBS.head("a"), "spec": {}}
    root = "/apis/flstore.dev/v1alpha1/namespaces/fl/fljobs"
    manager = {"fieldManager": "flstore-placement"}
    async with connected(handle) as api:
        await api.get(FLJOBS, "a")
        items, version = await api.list(FLJOBS, "mine=yes")
        await api.create(FLJOBS, body)
        await api.apply(FLJOBS, body, "status")
        await api.merge(FLJOBS, "a", {"spec": {"replicas": 2}})
        await api.replace(FLJOBS, body)
        await api.delete(FLJOBS, "a")
    assert (items, version) == ([{**FLJOBS.head("a")}], "7")
    assert seen == [
        ("GET", f"{root}/a", {}, "", None),
        ("GET", root, {"labelSelector": "mine=yes"}, "", None),
        ("POST", root, manager, "application/json", body),
        ("PATCH", f"{root}/a/status", {**manager, "force": "true"}, "application/apply-patch+yaml", body),
        ("PATCH", f"{root}/a", manager, "application/merge-patch+json", {"spec": {"replicas": 2}}),
        ("PUT", f"{root}/a", manager, "application/json", body),
        ("DELETE", f"{root}/a", {"propagationPolicy": "Background"}, "", None),
    ]


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (400, refusal("malformed"), Refused, "cannot get configmaps 'a': malformed (400)"),
        (403, refusal("no"), NotPermitted, "the controller's Role must allow get on configmaps of API group ''"),
        (404, refusal("no such object", "a"), ObjectMissing, "cannot get configmaps 'a': no such object (404)"),
        (404, b"404 page not found", KindMissing, "the cluster does not know configmaps; install Kubernetes first"),
        (409, refusal("changed"), ObjectConflict, "changed (409)"),
        (410, refusal("too old"), Gone, "too old (410)"),
        (422, refusal("invalid"), Refused, "invalid (422)"),
        (429, refusal("slow down"), ApiAway, "slow down (429)"),
        (500, b"\xff broken", ApiAway, "� broken (500)"),
        (503, [], ApiAway, "cannot get configmaps 'a'"),
        (200, b"{no json", ApiAway, "the API server does not answer"),
    ],
)
async def test_a_refusal_becomes_an_error_that_says_what_would_help(
    status: int, body: Any, error: type[ClusterError], message: str
) -> None:
    async with connected(answering(status, body)) as api:
        with pytest.raises(error) as raised:
            await api.get(CONFIG_MAPS, "a")
    assert message in raised.value.detail
    assert type(raised.value) is error


async def test_a_kind_that_knative_brings_is_to_be_installed_with_it() -> None:
    async with connected(answering(404, b"")) as api:
        with pytest.raises(
            KindMissing, match=r"does not know services\.serving\.knative\.dev; install Knative Serving"
        ):
            await api.list(KNATIVE_SERVICES)


async def test_deleting_what_does_not_exist_is_done_already() -> None:
    async with connected(answering(404, refusal("gone", "a"))) as api:
        await api.delete(CONFIG_MAPS, "a")


async def test_a_server_that_cannot_be_reached_is_away() -> None:
    async with connected(answering(200, {})) as api:
        pass
    unreachable = connect_to("http://127.0.0.1:9", "fl")
    with pytest.raises(ApiAway, match="cannot get configmaps 'a': the API server does not answer"):
        await unreachable.get(CONFIG_MAPS, "a")
    with pytest.raises(ApiAway, match="cannot watch configmaps"):
        await anext(unreachable.watch(CONFIG_MAPS, "1", "", lambda: None))
    await unreachable.close()
    assert api.namespace == "fl"


def streaming(*lines: Any) -> Handler:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        for line in lines:
            await stream.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        return stream

    return handle


async def test_a_watch_yields_each_line_and_says_when_it_has_begun() -> None:
    item = {**CONFIG_MAPS.head("a"), "data": {}}
    opened: list[str] = []
    events = ({"type": "ADDED", "object": item}, {"type": "BOOKMARK", "object": item})
    async with connected(streaming(*events)) as api:
        watch = api.watch(CONFIG_MAPS, "5", "mine=yes", lambda: opened.append("yes"))
        assert [event async for event in watch] == [("ADDED", item), ("BOOKMARK", item)]
    assert opened == ["yes"]


@pytest.mark.parametrize(
    ("handle", "error"),
    [
        (answering(410, refusal("too old")), Gone),
        (answering(403, refusal("no")), NotPermitted),
        (streaming({"type": "ERROR", "object": {"code": 410, "message": "expired"}}), Gone),
        (streaming({"type": "ERROR", "object": {"message": "etcd is gone"}}), ApiAway),
        (streaming(b"{half a line"), ApiAway),
    ],
)
async def test_a_watch_that_fails_says_how(handle: Handler, error: type[ClusterError]) -> None:
    async with connected(handle) as api:
        with pytest.raises(error):
            async for _ in api.watch(CONFIG_MAPS, "5", "", lambda: None):
                pass
