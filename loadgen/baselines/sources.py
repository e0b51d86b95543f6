"""The sources that a baseline reads models from: the object store, or a cache in front of it."""

import logging
from typing import Protocol

from flstore_core.storage import ObjectStore
from loadgen.baselines.aggregator import StoreSource
from loadgen.baselines.redis import RedisClient

logger = logging.getLogger(__name__)


class ModelSource(Protocol):
    """Reads models, and is offered new ones."""

    def fetch(self, key: str) -> tuple[bytes | memoryview, bool]:
        """Return an object, and whether it came from memory."""

    def offer(self, key: str, body: memoryview) -> None:
        """Take note of an object that was just stored."""


class Direct(StoreSource):
    """The object store alone."""

    def offer(self, key: str, body: memoryview) -> None:
        """Ignore it: nothing is kept."""


class Cached:
    """Redis in front of the store, filled by writes and by reads. If Redis does not answer, the store does."""

    def __init__(self, store: ObjectStore, redis: RedisClient) -> None:
        self._store = store
        self._redis = redis

    def fetch(self, key: str) -> tuple[bytes | memoryview, bool]:
        """Return an object, and whether it came from Redis."""
        try:
            value = self._redis.get(key)
        except OSError as error:
            logger.warning("Redis does not answer: %s", error)
            return self._store.get(key), False
        if value is not None:
            return value, True
        body = self._store.get(key)
        self.offer(key, memoryview(body))
        return body, False

    def offer(self, key: str, body: memoryview) -> None:
        """Put an object into Redis."""
        try:
            self._redis.set(key, body)
        except OSError as error:
            logger.warning("Redis does not answer: %s", error)
