"""A component of the job's server that notes what comes of a training, with FLStore and without it alike."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnableKey
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.np.constants import NPConstants

from tests.frameworks import clients
from tests.frameworks.plan import DIGITS, peak_bytes


class Watcher(FLComponent):  # type: ignore[misc]
    """Writes the accuracy after each round, what each round took, and the most memory that the server had, as JSON.

    Args:
        file: is written when the run ends.
        config: as clients have it.
    """

    def __init__(self, file: str, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.file = file
        self.config = dict(config)
        self._accuracy: list[float] = []
        self._starts: list[float] = []

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type in (AppEventType.ROUND_STARTED, EventType.END_WORKFLOW):
            self._starts.append(time.perf_counter())
        elif event_type == AppEventType.AFTER_SHAREABLE_TO_LEARNABLE and self.config["model"] == DIGITS:
            model = fl_ctx.get_prop(AppConstants.GLOBAL_MODEL)[ModelLearnableKey.WEIGHTS]
            layers = clients.layered(model[NPConstants.NUMPY_KEY], self.config)
            self._accuracy.append(clients.accuracy(layers, self.config))
        elif event_type == EventType.END_RUN:
            seconds = np.diff(self._starts).tolist()
            seen = {"accuracy": self._accuracy, "seconds": seconds, "peak_bytes": peak_bytes()}
            Path(self.file).write_text(json.dumps(seen))
