"""What a predictor's endpoints share."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from flstore_core.errors import FLStoreError
from flstore_core.models.engine import Engine
from flstore_core.storage import ObjectStore
from services.common.activity import Activity
from services.predictor.settings import Settings
from services.predictor.versions import Versions

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class State:
    """The parts of one running predictor."""

    settings: Settings
    store: ObjectStore
    engine: Engine
    versions: Versions
    activity: Activity
    clock: Callable[[], float]
    limiter: CapacityLimiter
    started: float

    @property
    def awake_seconds(self) -> float:
        """Seconds since the predictor started."""
        return self.clock() - self.started

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a data request in a worker thread, counted as activity."""
        with self.activity.request():
            return await to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self.limiter)

    async def open_store(self) -> None:
        """Open the store while the first request is still on its way."""
        try:
            await to_thread.run_sync(self.store.probe, abandon_on_cancel=True)
        except FLStoreError as error:
            logger.warning("the object store does not answer", extra={"error": error.detail})

    def should_leave(self) -> bool:
        """Say whether nobody has asked for anything during the idle window."""
        return 0 < self.settings.idle_seconds <= self.activity.idle_seconds
