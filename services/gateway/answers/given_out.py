"""Models that are given out while the store is still being sent them.

Who asks for an aggregate with `early` gets its hash as soon as it is made. From then until the store has the model,
clients that name the hash get it from here. To them it is the same model; to all others there is none yet:

    request                                            while the store is being sent it    afterwards
    GET …/aggregate, If-Match: "9f86…"                 the model, from here                the model
    GET …/aggregate                                    404, or the aggregate before it     the model
    POST …/aggregate, POST …/commit, DELETE …          wait                                go on

A gateway that ends meanwhile takes the model along. The round is open then, without the model or with the one before
it, as if it had never been made. So whoever asked has to make sure before the round is committed: by the round's
record, or by asking again without `early` (`flstore_core.integrations.recorder.desk`).
"""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from flstore_core.errors import FLStoreError
from flstore_core.ids import Home
from flstore_core.records import Round
from services.gateway.answers.execution import Outcome
from services.gateway.threads import KEEPERS

logger = logging.getLogger(__name__)

Place = tuple[Home, int]
"""A job's generation, and a round."""


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A model that was given out."""

    outcome: Outcome
    """The answer that gave it out."""
    params: Mapping[str, Any]
    """What was asked."""
    record: Round
    """The round, as it was read."""
    sha256: str
    body: memoryview
    written: Future[bool] = field(default_factory=Future)
    """Done when the store has the model, or does not take it."""


class GivenOut:
    """The models, at most one of a round. Safe to share between threads.

    Args:
        writers: threads that store them.
    """

    def __init__(self, writers: Executor) -> None:
        self._writers = writers
        self._models: dict[Place, Given] = {}
        self._lock = Lock()

    def give(self, place: Place, model: Given, store: Callable[[], object]) -> bool:
        """Have `store` store a model in another thread.

        Returns:
            False if nothing was done: one of the same round, or so many others, are being stored.
        """
        with self._lock:
            if place in self._models or len(self._models) >= KEEPERS:
                return False
            self._models[place] = model
        self._writers.submit(self._store, place, model, store)
        return True

    def find(self, place: Place, sha256: str) -> memoryview | None:
        """Return a model that was given out under this hash, unless the store has it."""
        model = self._models.get(place)
        return model.body if model and model.sha256 == sha256 else None

    def wait(self, place: Place) -> Given | None:
        """Wait until the store has the model that was given out of a round, and return it.

        None means that there is none, or that the store did not take it.
        """
        model = self._models.get(place)
        return model if model and model.written.result() else None

    def wait_for_all(self) -> None:
        """Wait until the store has all models that it takes."""
        wait([model.written for model in list(self._models.values())])

    def _store(self, place: Place, model: Given, store: Callable[[], object]) -> None:
        stored = False
        try:
            with suppress(FLStoreError):
                store()
                stored = True
        finally:
            with self._lock:
                del self._models[place]
            if not stored:
                logger.warning("a model that was given out is not stored", extra={"sha256": model.sha256})
            model.written.set_result(stored)
