"""A local copy of the objects of one kind, kept true by a watch."""

import asyncio
import logging
from collections.abc import Callable

from flstore_core.backoff import Backoff
from services.placement.kubernetes.api import Api
from services.placement.kubernetes.errors import ClusterError, Gone
from services.placement.kubernetes.resources import Json, Resource, name_of
from services.placement.kubernetes.timing import Time
from services.placement.kubernetes.troubles import Troubles

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
MOST_PAUSE_S = 30.0


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
        self._backoff = Backoff(FIRST_PAUSE_S, MOST_PAUSE_S)
        self._version = ""

    async def run(self) -> None:
        what = f"watching {self._resource.full_name}"
        while True:
            await self._time.sleep(self._backoff.delay_s)
            try:
                if not self._version:
                    await self._list()
                    self._troubles.ended(what)
                await self._watch()
            except Gone:
                logger.info("%s: the version is too old, listing again", what)
                self._version = ""
                self._backoff.failed()
            except ClusterError as error:
                self._backoff.failed()
                self._troubles.arose(what, error)

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
        begun = self._time.monotonic()
        async for kind, item in self._api.watch(self._resource, self._version, self._selector):
            self._version = item["metadata"]["resourceVersion"]
            self._backoff.succeeded()
            self._troubles.ended(f"watching {self._resource.full_name}")
            if kind != "BOOKMARK":
                self._take(kind, item)
        if self._time.monotonic() - begun < 1.0:
            self._backoff.failed()
        else:
            self._backoff.succeeded()

    def _take(self, kind: str, item: Json) -> None:
        name = name_of(item)
        if kind == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = item
        self._changed(name)
