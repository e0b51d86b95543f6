"""A local copy of all objects of one kind, kept current by a watch.

The idea is client-go's informer (https://pkg.go.dev/k8s.io/client-go/tools/cache). The server numbers every change of
any object. A list returns the objects and the number of the latest change in it. A watch from that number streams every
later change. So one list and a chain of watches miss nothing:

    list                   → a, b               at version 10
    watch from 10          → MODIFIED a (11), ADDED c (13), connection lost
    watch from 13          → DELETED b (14), 300 s are over, the server ends the stream
    watch from 14          → 410 Gone: the server was restarted and has forgotten version 14
    list                   → a, c, d            at version 42; `changed` is called for d alone

After a watch that lasted `STABLE_S`, the next one begins at once. After shorter ones in a row there are pauses of 0.2,
0.4, 0.8 … up to 30 s. An event begins a new series of pauses. While the server is away, the last known objects stay.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from flstore_core.retry import Retry, growing
from services.placement.kube.cluster import Cluster
from services.placement.kube.errors import ApiAway, ClusterError, Gone
from services.placement.kube.resources import Json, Resource, name_of

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
MOST_PAUSE_S = 30.0
STABLE_S = 10.0
"""A watch that lasted for so many seconds counts as a success, however it ended."""


class Informer:
    """Lists once, then watches. An object in `objects` is never changed in place, only replaced."""

    def __init__(self, cluster: Cluster, resource: Resource, selector: str, changed: Callable[[str], None]) -> None:
        """`changed` gets the name of every object that appears, changes or disappears; it must return at once.

        `selector` is a label selector; "" selects every object of the kind.
        """
        self.objects: dict[str, Json] = {}
        """The objects by name; always the same dictionary."""
        self.synced = asyncio.Event()
        """Set once the objects have been listed."""
        self._cluster = cluster
        self._resource = resource
        self._selector = selector
        self._changed = changed
        self._attempts = Retry(growing(FIRST_PAUSE_S, MOST_PAUSE_S)).begin()
        self._version = ""
        self._activity = f"watching {resource.full_name}"

    async def run(self) -> None:
        """Keep `objects` up to date until cancelled."""
        time = self._cluster.time
        while True:
            await time.sleep(self._attempts.pause_s)
            begun = time.monotonic()
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except ClusterError as error:
                self._choose_pause(begun)
                self._handle(error)
            else:
                self._choose_pause(begun)

    def _choose_pause(self, begun: float) -> None:
        if self._cluster.time.monotonic() - begun >= STABLE_S:
            self._attempts.succeeded()
        else:
            self._attempts.failed()

    def _handle(self, error: ClusterError) -> None:
        """List again if the server has forgotten the version; report other errors, but not a single lost connection."""
        if isinstance(error, Gone):
            logger.info("%s: the server has forgotten the version, listing again", self._activity)
            self._version = ""
        elif self._attempts.failures > 1 or not isinstance(error, ApiAway):
            self._cluster.errors.report(self._activity, error)

    async def _list(self) -> None:
        items, version = await self._cluster.api.list(self._resource, self._selector)
        # The dictionary is changed and not replaced, because others hold it. It is complete before `changed` is called,
        # so that whoever is called finds all objects as they are now.
        before = dict(self.objects)
        self.objects.clear()
        self.objects.update({name_of(item): item for item in items})
        self._version = version
        self.synced.set()
        for name in before.keys() | self.objects.keys():
            if before.get(name) != self.objects.get(name):
                self._changed(name)

    async def _watch(self) -> None:
        watch = self._cluster.api.watch(self._resource, self._version, self._selector, self._note_success)
        async with aclosing(watch) as events:
            async for kind, item in events:
                self._version = item["metadata"]["resourceVersion"]
                self._attempts.succeeded()
                if kind != "BOOKMARK":
                    self._take_in(kind, item)

    def _note_success(self) -> None:
        self._cluster.errors.clear(self._activity)

    def _take_in(self, kind: str, item: Json) -> None:
        name = name_of(item)
        if kind == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = item
        self._changed(name)
