"""Kubernetes Events: what a person who runs `kubectl describe` or `kubectl get events` would want to know."""

import asyncio
import logging
from enum import StrEnum
from uuid import uuid4

from services.placement.kube.api import Api
from services.placement.kube.errors import ClusterError
from services.placement.kube.resources import EVENTS, FIELD_MANAGER, Json, reference
from services.placement.kube.timing import Time, stamp

logger = logging.getLogger(__name__)

WAITING = 256
"""Events that may wait for the API server; further ones are only logged."""
AGAIN_AFTER_S = 600.0
"""The same event about the same object is not told again before."""
MESSAGE_CHARS = 1000
"""The server takes 1024."""


class Severity(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


class Recorder:
    """Writes events, in the background and never twice the same; an event that cannot be written is in the log."""

    def __init__(self, api: Api, identity: str, time: Time) -> None:
        self._api = api
        self._identity = identity
        self._time = time
        self._queue: asyncio.Queue[Json] = asyncio.Queue(WAITING)
        self._told: dict[tuple[str, str, str], float] = {}

    def tell(self, about: Json, reason: str, message: str, severity: Severity = Severity.NORMAL) -> None:
        """Have an event about an object written; returns at once."""
        level = logging.WARNING if severity is Severity.WARNING else logging.INFO
        name = about["metadata"]["name"]
        now = self._time.monotonic()
        key = (name, reason, message)
        if now - self._told.get(key, -AGAIN_AFTER_S) < AGAIN_AFTER_S:
            return
        self._told = {key: at for key, at in self._told.items() if now - at < AGAIN_AFTER_S} | {key: now}
        logger.log(level, "%s %s: %s", reason, name, message)
        try:
            self._queue.put_nowait(self._event(about, reason, message, severity))
        except asyncio.QueueFull:
            logger.warning("event dropped", extra={"reason": reason})

    async def run(self) -> None:
        """Write what is told, one by one."""
        while True:
            event = await self._queue.get()
            try:
                await self._api.create(EVENTS, event)
            except ClusterError as error:
                logger.warning("event not written: %s", error, extra={"reason": event["reason"]})

    def _event(self, about: Json, reason: str, message: str, severity: Severity) -> Json:
        now = stamp(self._time.now())
        name = f"{about['metadata']['name']}.{uuid4().hex[:16]}"
        shown = message if len(message) <= MESSAGE_CHARS else message[:MESSAGE_CHARS] + "…"
        return {
            **EVENTS.head(name, namespace=self._api.namespace),
            "involvedObject": {"namespace": self._api.namespace, **reference(about)},
            "reason": reason,
            "message": shown,
            "type": severity.value,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._identity,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
