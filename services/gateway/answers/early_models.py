"""Models that clients are handed early, while the store is still being sent them.

Who asks for an aggregate with `early` gets its hash as soon as it is made. From then until the store has the model,
clients that name the hash get it from here. To them it is the same model; to all others there is none yet:

    request                                                     while the store is sent it      afterwards
    GET …/aggregate, If-Match: "9f86…"                          the model, from here            the model
    GET …/aggregate                                             404, or the aggregate before    the model
    POST …/aggregate, POST …/commit, DELETE of the round,
    of its aggregate, or of a client                            waits                           goes on

At first clients wait for the model, and nobody for the store. On a machine that has to serve both, each takes almost
twice as long beside the other. So the store is sent the model when a client has got it, when somebody waits for the
store, or after `PATIENCE_S`.

A gateway that ends meanwhile takes the model along. Then the round is open, without the model or with the one before
it. So whoever asked has to make sure before the round is committed: by the round's record, or by asking again without
`early` (`flstore_core.integrations.recorder.desk`).
"""

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from flstore_core.errors import FLStoreError
from flstore_core.ids import Home
from flstore_core.records import Round
from services.gateway.answers.execution import Outcome
from services.gateway.threads import KEEPERS

logger = logging.getLogger(__name__)

PATIENCE_S = 0.2
"""Longer than clients take to have heard of a model."""


@dataclass(frozen=True, slots=True, eq=False)
class EarlyModel:
    """A round's aggregate that the store may not have yet."""

    outcome: Outcome
    """The answer that told of it."""
    params: Mapping[str, Any]
    """What was asked."""
    record: Round
    """The round, as it was read."""
    sha256: str
    body: memoryview
    due: Event = field(default_factory=Event)
    """Set when the store is to be sent it."""
    stored: Future[bool] = field(default_factory=Future)
    """Whether the store has taken it; done when that is known."""


class EarlyModels:
    """The models, at most one of a round, and `KEEPERS` in all. Safe to share between threads.

    Args:
        keepers: threads that store them.
        patience_s: longest that the store is not sent one while nobody waits for that.
    """

    def __init__(self, keepers: Executor, patience_s: float = PATIENCE_S) -> None:
        self._keepers = keepers
        self._patience_s = patience_s
        self._models: dict[tuple[Home, int], EarlyModel] = {}
        self._lock = Lock()

    def store(self, home: Home, model: EarlyModel, write: Callable[[], object]) -> bool:
        """Have `write` store a model in another thread.

        Returns:
            False if nothing was done, because one of the same round, or as many as there may be, are being stored.
        """
        place = (home, model.record.number)
        with self._lock:
            if place in self._models or len(self._models) >= KEEPERS:
                return False
            self._models[place] = model
        try:
            self._keepers.submit(self._store, home, model, write)
        except RuntimeError:  # the gateway ends
            self._end(home, model, is_stored=False)
            return False
        return True

    def find(self, home: Home, number: int, hashes: Collection[str]) -> EarlyModel | None:
        """Return a round's model if it has one of these hashes, and the store does not have it yet."""
        model = self._models.get((home, number))
        return model if model and model.sha256 in hashes else None

    def wait(self, home: Home, number: int) -> EarlyModel | None:
        """Wait until the store has a round's model, and return it; None if there was none, or it was not taken."""
        model = self._models.get((home, number))
        return model if model and _stored(model) else None

    def wait_for_all(self, home: Home | None = None) -> None:
        """Wait until the store has all models, or those of one job, as far as it takes them."""
        for (of, _), model in list(self._models.items()):
            if home in (None, of):
                _stored(model)

    def _store(self, home: Home, model: EarlyModel, write: Callable[[], object]) -> None:
        is_stored = False
        context = {"home": home, "round": model.record.number, "sha256": model.sha256}
        model.due.wait(self._patience_s)
        try:
            write()
            is_stored = True
        except FLStoreError as error:
            logger.warning("an aggregate that clients may have is not stored", extra={**context, "error": error.detail})
        except Exception:  # a defect: nobody reads this thread's errors; who waits is told that the store lacks it
            logger.exception("an aggregate that clients may have is not stored", extra=context)
        finally:
            self._end(home, model, is_stored=is_stored)

    def _end(self, home: Home, model: EarlyModel, *, is_stored: bool) -> None:
        with self._lock:
            del self._models[home, model.record.number]
        model.stored.set_result(is_stored)


def _stored(model: EarlyModel) -> bool:
    """Wait until it is known whether the store has taken a model."""
    model.due.set()
    return model.stored.result()
