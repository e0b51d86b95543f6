"""Writes Kubernetes Events, which people read with `kubectl describe` and `kubectl get events`."""

import asyncio
import logging
from enum import StrEnum
from uuid import uuid4

from services.placement.kube.api import Api
from services.placement.kube.errors import ClusterError
from services.placement.kube.notation import format_time
from services.placement.kube.resources import EVENTS, FIELD_MANAGER, Json, make_reference
from services.placement.timing import Time

logger = logging.getLogger(__name__)

QUEUE_LENGTH = 256
"""Events that may wait for the API server. Further ones are only logged."""
REPEAT_AFTER_S = 600.0
"""Seconds in which an event with the same object, reason and message is written at most once."""
MESSAGE_CHARS = 1000
"""Longest message; the server accepts 1024 bytes."""


class Severity(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


class EventRecorder:
    """Writes events in the background and suppresses repetitions. Every event is logged too."""

    def __init__(self, api: Api, identity: str, time: Time) -> None:
        self._api = api
        self._identity = identity
        self._time = time
        self._queue: asyncio.Queue[Json] = asyncio.Queue(QUEUE_LENGTH)
        self._emitted_at: dict[tuple[str, str, str], float] = {}

    def emit(self, subject: Json, reason: str, message: str, severity: Severity = Severity.NORMAL) -> None:
        """Queue an event about the object `subject`; return at once."""
        name = subject["metadata"]["name"]
        if self._is_repetition((name, reason, message)):
            return
        level = logging.WARNING if severity is Severity.WARNING else logging.INFO
        logger.log(level, "%s %s: %s", reason, name, message)
        try:
            self._queue.put_nowait(self._make_event(subject, reason, message, severity))
        except asyncio.QueueFull:
            logger.warning("event dropped: %d are waiting already", QUEUE_LENGTH, extra={"reason": reason})

    async def run(self) -> None:
        """Write queued events one by one, until cancelled."""
        while True:
            event = await self._queue.get()
            try:
                await self._api.create(EVENTS, event)
            except ClusterError as error:
                logger.warning("event not written: %s", error, extra={"reason": event["reason"]})

    def _is_repetition(self, key: tuple[str, str, str]) -> bool:
        """Say whether this event was emitted a moment ago; if not, remember that it is emitted now."""
        now = self._time.monotonic()
        recent = {earlier: at for earlier, at in self._emitted_at.items() if now - at < REPEAT_AFTER_S}
        self._emitted_at = {key: now} | recent  # a recent time of `key` stays: repetitions do not prolong the silence
        return key in recent

    def _make_event(self, subject: Json, reason: str, message: str, severity: Severity) -> Json:
        now = format_time(self._time.now())
        name = f"{subject['metadata']['name']}.{uuid4().hex[:16]}"
        return {
            **EVENTS.head(name, namespace=self._api.namespace),
            "involvedObject": {"namespace": self._api.namespace, **make_reference(subject)},
            "reason": reason,
            "message": message if len(message) <= MESSAGE_CHARS else message[:MESSAGE_CHARS] + "…",
            "type": severity.value,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._identity,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
