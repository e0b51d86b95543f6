"""What everybody else does to the cluster: people with kubectl, Knative's controllers, the kubelet."""

import json
from typing import Any

import aiohttp

from services.placement.kube.resources import EVENTS, Resource

Json = dict[str, Any]


class Hand:
    """Reads and writes objects past the controller and its wire."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, namespace: str, headers: dict[str, str], ssl: Any
    ) -> None:
        self._session = session
        self._url = url
        self._namespace = namespace
        self._headers = headers
        self._ssl = ssl

    async def get(self, resource: Resource, name: str) -> Json | None:
        status, answer = await self._ask("GET", resource, name)
        return None if status == 404 else answer

    async def items(self, resource: Resource) -> list[Json]:
        _, answer = await self._ask("GET", resource)
        items: list[Json] = answer["items"]
        return items

    async def names(self, resource: Resource) -> list[str]:
        return sorted(item["metadata"]["name"] for item in await self.items(resource))

    async def create(self, resource: Resource, body: Json) -> Json:
        status, answer = await self._ask("POST", resource, body=body)
        assert status < 300, answer
        return answer

    async def merge(self, resource: Resource, name: str, patch: Json, subresource: str = "") -> Json:
        """Change an object, or its status."""
        kind = "application/merge-patch+json"
        status, answer = await self._ask("PATCH", resource, name, subresource, patch, kind)
        assert status < 300, answer
        return answer

    async def refused(self, resource: Resource, name: str, patch: Json) -> str:
        """Return what the server says to a change that it does not accept."""
        status, answer = await self._ask("PATCH", resource, name, "", patch, "application/merge-patch+json")
        assert status == 422, answer
        return str(answer["message"])

    async def delete(self, resource: Resource, name: str) -> None:
        await self._ask("DELETE", resource, name)

    async def events(self, reason: str) -> list[str]:
        """Return the messages of the events with a reason."""
        return [event["message"] for event in await self.items(EVENTS) if event["reason"] == reason]

    async def _ask(
        self,
        method: str,
        resource: Resource,
        name: str = "",
        subresource: str = "",
        body: Json | None = None,
        kind: str = "application/json",
    ) -> tuple[int, Json]:
        url = self._url + resource.path(self._namespace, name, subresource) + "?fieldManager=somebody"
        data = None if body is None else json.dumps(body)
        headers = {**self._headers, "Content-Type": kind}
        async with self._session.request(method, url, data=data, headers=headers, ssl=self._ssl) as response:
            answer: Json = json.loads(await response.read())
            return response.status, answer
