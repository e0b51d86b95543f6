"""The few verbs of an API server that the controller uses, in one namespace, over plain JSON objects.

It uses the `kubernetes` client for credentials and connections only, not its thousands of generated types.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

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
from services.placement.kube.resources import FIELD_MANAGER, Json, Resource

CALL_S = 8.0
"""Longest call, in seconds. It is shorter than the time in which a leader has to renew its lease."""
WATCH_S = 300
"""The server ends a watch after so many seconds. The caller then begins another one where this one ended."""
SILENCE_S = 30.0
"""A watch that is silent for so many seconds more than `WATCH_S` counts as dead."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_WRITER = {"fieldManager": FIELD_MANAGER}
_WATCH_QUERY = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}

WatchEvent = tuple[str, Json]
"""`ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, and the object."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request to the server."""

    verb: str
    """The verb as a Role names it, such as `list`, and not the HTTP method."""
    resource: Resource
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    media_type: str = "application/json"

    @property
    def method(self) -> str:
        return {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}.get(self.verb, "GET")

    def __str__(self) -> str:
        return f"{self.verb} {self.resource.full_name}" + (f" {self.name!r}" if self.name else "")


class Api:
    """Reads and writes objects of one namespace. Every method raises a `ClusterError` when it fails."""

    def __init__(self, client: Any, namespace: str) -> None:
        """`client` is a `kubernetes.aio.client.ApiClient`; `close` closes it."""
        self._client = client
        self.namespace = namespace

    async def get(self, resource: Resource, name: str) -> Json:
        return await self._do(_Call("get", resource, name))

    async def list(self, resource: Resource, selector: str = "") -> tuple[list[Json], str]:
        """Return all objects that the label selector matches, and the version to watch from."""
        answer = await self._do(_Call("list", resource, query=_selection(selector)))
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**head, **item} for item in answer["items"]], answer["metadata"]["resourceVersion"]

    async def create(self, resource: Resource, body: Json) -> Json:
        return await self._do(_Call("create", resource, query=_WRITER, body=body))

    async def apply(self, resource: Resource, body: Json, subresource: str = "") -> Json:
        """Create or change an object by server-side apply: set the fields in `body` and own them from now on.

        Fields that an earlier `body` had and this one lacks are removed; fields of other managers stay.
        """
        query = {**_WRITER, "force": "true"}
        return await self._do(_Call("patch", resource, body["metadata"]["name"], subresource, query, body, APPLY))

    async def merge(self, resource: Resource, name: str, body: Json) -> Json:
        """Change an existing object (JSON merge patch)."""
        return await self._do(_Call("patch", resource, name, "", _WRITER, body, MERGE))

    async def replace(self, resource: Resource, body: Json) -> Json:
        """Replace an object; raise `ObjectConflict` if its version is no longer the `resourceVersion` in `body`."""
        return await self._do(_Call("update", resource, body["metadata"]["name"], "", _WRITER, body))

    async def delete(self, resource: Resource, name: str) -> None:
        """Delete an object and then, in the background, its dependents; do nothing if it does not exist."""
        try:
            await self._do(_Call("delete", resource, name, query={"propagationPolicy": "Background"}))
        except ObjectMissing:
            return

    async def watch(
        self, resource: Resource, version: str, selector: str, opened: Callable[[], None]
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield the changes after `version` until the server ends the stream.

        `opened` is called once the server has accepted the watch.

        Raises:
            Gone: if the server no longer knows `version`.
        """
        call = _Call("watch", resource, query={**_WATCH_QUERY, "resourceVersion": version, **_selection(selector)})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CALL_S, sock_read=WATCH_S + SILENCE_S)
        try:
            answer = await self._send(call, timeout)
            try:
                if answer.status >= 400:
                    raise self._refusal(call, answer.status, await answer.read())
                opened()
                async for line in answer.content:
                    yield self._parse_event(call, line)
            finally:
                answer.close()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _away(call, error) from error

    async def close(self) -> None:
        await self._client.close()

    async def _do(self, call: _Call) -> Json:
        try:
            answer = await self._send(call, aiohttp.ClientTimeout(total=CALL_S))
            data = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _away(call, error) from error
        if answer.status >= 400:
            raise self._refusal(call, answer.status, data)
        return _parse(call, data)

    async def _send(self, call: _Call, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        path = call.resource.path(self.namespace, call.name, call.subresource)
        headers = {"Accept": "application/json"} | ({"Content-Type": call.media_type} if call.body is not None else {})
        prepared = await self._client.param_serialize(
            call.method, path, [], list(call.query.items()), headers, body=call.body, auth_settings=["BearerToken"]
        )
        wrapped = await self._client.call_api(*prepared, _request_timeout=timeout)
        answer: aiohttp.ClientResponse = wrapped.response
        return answer

    def _parse_event(self, call: _Call, line: bytes) -> WatchEvent:
        event = _parse(call, line)
        if event["type"] == "ERROR":
            status = event["object"]
            raise self._refusal(call, int(status.get("code", 500)), json.dumps(status).encode())
        return event["type"], event["object"]

    def _refusal(self, call: _Call, status: int, data: bytes) -> ClusterError:
        """Return the error for an answer of 400 or above; its message says what would help."""
        details, resource = _parse_status(data), call.resource
        message = str(details.get("message") or data[:200].decode(errors="replace"))
        if status == 403:
            return NotPermitted(
                f"may not {call} in namespace {self.namespace!r}: {message}; "
                f"the controller's Role must allow {call.verb} on {resource.plural} of API group {resource.group!r}"
            )
        # A 404 for one object names it in `details`. Without a name, the path itself, and so the kind, is unknown.
        if status == 404 and not (details.get("details") or {}).get("name"):
            return KindMissing(
                f"cannot {call}: the cluster does not know {resource.full_name}; install {resource.provider} first"
            )
        classes = {404: ObjectMissing, 409: ObjectConflict, 410: Gone, 400: Refused, 422: Refused}
        return classes.get(status, ApiAway)(f"cannot {call}: {message} ({status})")


def _selection(selector: str) -> Mapping[str, str]:
    return {"labelSelector": selector} if selector else {}


def _away(call: _Call, error: Exception) -> ApiAway:
    return ApiAway(f"cannot {call}: the API server does not answer: {error!r}")


def _parse_status(data: bytes) -> Json:
    """Return the Kubernetes `Status` in an answer; an empty one if the body is something else."""
    try:
        status = json.loads(data)
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def _parse(call: _Call, data: bytes) -> Json:
    try:
        value: Json = json.loads(data)
    except ValueError as error:
        raise _away(call, error) from error
    return value
