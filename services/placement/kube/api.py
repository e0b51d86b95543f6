"""The few verbs of an API server that the controller uses, in one namespace, over plain JSON objects.

It uses the `kubernetes` client for credentials and connections only, not its thousands of generated types.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
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
"""Longest call, in seconds; shorter than a leader may go without renewing its lease."""
WATCH_S = 300
"""The server ends a watch after this many seconds; the caller begins it again where it ended."""
SILENCE_S = 30.0
"""A connection that is silent for this much longer than `WATCH_S` counts as dead."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_WATCH_QUERY = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}

WatchEvent = tuple[str, Json]
"""`ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, and the object."""


class Api:
    """Reads and writes objects of one namespace. Every method raises a `ClusterError` when it fails."""

    def __init__(self, client: Any, namespace: str) -> None:
        """`client` is a `kubernetes.aio.client.ApiClient`; `close` closes it."""
        self._client = client
        self.namespace = namespace

    async def get(self, resource: Resource, name: str) -> Json:
        return await self._call("GET", "get", resource, name)

    async def list(self, resource: Resource, selector: str = "") -> tuple[list[Json], str]:
        """Return all objects that the label selector matches, and the version to watch from."""
        answer = await self._call("GET", "list", resource, query={"labelSelector": selector} if selector else {})
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**head, **item} for item in answer["items"]], answer["metadata"]["resourceVersion"]

    async def create(self, resource: Resource, body: Json) -> Json:
        return await self._call("POST", "create", resource, body=body, query={"fieldManager": FIELD_MANAGER})

    async def apply(self, resource: Resource, body: Json, subresource: str = "") -> Json:
        """Create or change an object by server-side apply: set the fields in `body` and own them from now on.

        Fields that an earlier `body` had and this one lacks are removed; fields of other managers stay.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        name = body["metadata"]["name"]
        return await self._call("PATCH", "patch", resource, name, subresource, body=body, query=query, media_type=APPLY)

    async def merge(self, resource: Resource, name: str, body: Json) -> Json:
        """Change an existing object (JSON merge patch)."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("PATCH", "patch", resource, name, body=body, query=query, media_type=MERGE)

    async def replace(self, resource: Resource, body: Json) -> Json:
        """Replace an object; raise `ObjectConflict` if it has left the `resourceVersion` that `body` has."""
        name, query = body["metadata"]["name"], {"fieldManager": FIELD_MANAGER}
        return await self._call("PUT", "update", resource, name, body=body, query=query)

    async def delete(self, resource: Resource, name: str) -> None:
        """Delete an object and then, in the background, its dependents; do nothing if it does not exist."""
        try:
            await self._call("DELETE", "delete", resource, name, query={"propagationPolicy": "Background"})
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
        query = {**_WATCH_QUERY, "resourceVersion": version} | ({"labelSelector": selector} if selector else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CALL_S, sock_read=WATCH_S + SILENCE_S)
        try:
            answer = await self._send("GET", resource.path(self.namespace), query, None, None, timeout)
            try:
                if answer.status >= 400:
                    raise self._refusal("watch", resource, "", answer.status, await answer.read())
                opened()
                async for line in answer.content:
                    yield self._event(resource, line)
            finally:
                answer.close()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _away("watch", resource, error) from error

    async def close(self) -> None:
        await self._client.close()

    async def _call(
        self,
        method: str,
        verb: str,
        resource: Resource,
        name: str = "",
        subresource: str = "",
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        media_type: str = "application/json",
    ) -> Json:
        path = resource.path(self.namespace, name, subresource)
        try:
            timeout = aiohttp.ClientTimeout(total=CALL_S)
            answer = await self._send(method, path, query or {}, body, media_type, timeout)
            data = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _away(verb, resource, error) from error
        if answer.status >= 400:
            raise self._refusal(verb, resource, name, answer.status, data)
        return _json(verb, resource, data)

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Json | None,
        media_type: str | None,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", **({"Content-Type": media_type} if media_type else {})}
        prepared = await self._client.param_serialize(
            method, path, [], list(query.items()), headers, body=body, auth_settings=["BearerToken"]
        )
        wrapped = await self._client.call_api(*prepared, _request_timeout=timeout)
        answer: aiohttp.ClientResponse = wrapped.response
        return answer

    def _event(self, resource: Resource, line: bytes) -> WatchEvent:
        event = _json("watch", resource, line)
        if event["type"] == "ERROR":
            status = event["object"]
            raise self._refusal("watch", resource, "", int(status.get("code", 500)), json.dumps(status).encode())
        return event["type"], event["object"]

    def _refusal(self, verb: str, resource: Resource, name: str, status: int, data: bytes) -> ClusterError:
        """Return the error for an answer of 400 or above; its message says what would help."""
        details = _status(data)
        message = str(details.get("message") or data[:200].decode(errors="replace"))
        what = f"{verb} {resource.full_name}" + (f" {name!r}" if name else "")
        if status == 403:
            return NotPermitted(
                f"may not {what} in namespace {self.namespace!r}: {message}; "
                f"the controller's Role must allow {verb} on {resource.plural} of API group {resource.group!r}"
            )
        if status == 404 and not (details.get("details") or {}).get("name"):
            return KindMissing(
                f"cannot {what}: the cluster does not know {resource.full_name}; install {resource.provider} first"
            )
        classes = {404: ObjectMissing, 409: ObjectConflict, 410: Gone, 400: Refused, 422: Refused}
        return classes.get(status, ApiAway)(f"cannot {what}: {message} ({status})")


def _away(verb: str, resource: Resource, error: Exception) -> ApiAway:
    return ApiAway(f"cannot {verb} {resource.full_name}: the API server does not answer: {error!r}")


def _status(data: bytes) -> Json:
    """Return the Kubernetes `Status` in an answer; an empty one if the body is something else."""
    try:
        status = json.loads(data)
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def _json(verb: str, resource: Resource, data: bytes) -> Json:
    try:
        value: Json = json.loads(data)
    except ValueError as error:
        raise _away(verb, resource, error) from error
    return value
