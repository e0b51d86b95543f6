"""A local copy of the objects of one kind, kept true by a watch."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from flstore_core.retry import Retry, growing
from services.placement.kube.api import Api
from services.placement.kube.errors import ApiAway, ClusterError, Gone
from services.placement.kube.resources import Json, Resource, name_of
from services.placement.kube.timing import Time
from services.placement.kube.troubles import Troubles

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
MOST_PAUSE_S = 30.0
STABLE_S = 10.0
"""A watch that lasted so long was a good one, however it ended."""


class Informer:
    """Lists once, then watches, taking up each watch where the last one ended; lists again when that is too old.

    An object in `objects` is never changed, only replaced. While the server is away the last known objects stay.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource,
        selector: str,
        time: Time,
        troubles: Troubles,
        changed: Callable[[str], None],
    ) -> None:
        """`changed` is told the name of every object that came, changed or went; it returns at once."""
        self.objects: dict[str, Json] = {}
        """By name; always the same dictionary."""
        self.synced = asyncio.Event()
        """Set once the objects have been listed."""
        self._api = api
        self._resource = resource
        self._selector = selector
        self._time = time
        self._troubles = troubles
        self._changed = changed
        self._attempts = Retry(growing(FIRST_PAUSE_S, MOST_PAUSE_S)).begin()
        self._version = ""
        self._what = f"watching {resource.full_name}"

    async def run(self) -> None:
        while True:
            await self._time.sleep(self._attempts.pause_s)
            begun = self._time.monotonic()
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except Gone:
                logger.info("%s: the version is too old, listing again", self._what)
                self._version = ""
                self._broke_off(begun)
            except ClusterError as error:
                self._broke_off(begun)
                if self._attempts.failures > 1 or not isinstance(error, ApiAway):
                    self._troubles.arose(self._what, error)
            else:
                self._broke_off(begun)

    def _broke_off(self, begun: float) -> None:
        """Pause before the next watch, unless this one lasted: sooner or later each of them ends."""
        if self._time.monotonic() - begun >= STABLE_S:
            self._attempts.succeeded()
        else:
            self._attempts.failed()

    async def _list(self) -> None:
        items, version = await self._api.list(self._resource, self._selector)
        before = dict(self.objects)
        self.objects.clear()
        self.objects.update({name_of(item): item for item in items})
        self._version = version
        self.synced.set()
        for name in before.keys() | self.objects.keys():
            if before.get(name) != self.objects.get(name):
                self._changed(name)

    async def _watch(self) -> None:
        watch = self._api.watch(self._resource, self._version, self._selector, self._works)
        async with aclosing(watch) as events:
            async for kind, item in events:
                self._version = item["metadata"]["resourceVersion"]
                self._attempts.succeeded()
                if kind != "BOOKMARK":
                    self._take(kind, item)

    def _works(self) -> None:
        self._troubles.ended(self._what)

    def _take(self, kind: str, item: Json) -> None:
        name = name_of(item)
        if kind == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = item
        self._changed(name)
