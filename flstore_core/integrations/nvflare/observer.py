"""A component that records any workflow of a server, by the events that it fires."""

import logging
from collections.abc import Mapping
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from flstore_core.integrations.nvflare.configured import Configured
from flstore_core.integrations.nvflare.hooks import Hooks
from flstore_core.integrations.nvflare.models import client_of, model_in, update_of
from flstore_core.integrations.recorder import Limits, Tracker

logger = logging.getLogger("flstore.nvflare")

ENCRYPTED = "updates are encrypted homomorphically; FLStore cannot read them, and records none"


class FLStoreObserver(FLComponent, Configured):  # type: ignore[misc]
    """Records ScatterAndGather, and workflows that are made like it, beside whatever aggregates them.

    It changes nothing, and asks for no advice: what clients sent is aggregated before an observer could say anything.
    The arguments are those of `FLStoreAggregator`.
    """

    def __init__(
        self,
        url: str,
        job: str = "nvflare",
        *,
        resume: bool = False,
        schedule: str = "",
        required: bool = False,
        tracker: Tracker | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.configure(
            url,
            job,
            resume=resume,
            advice=None,
            advisers=(),
            required=required,
            tracker=tracker,
            limits=limits,
            settings=settings,
        )
        self.schedule = schedule
        self._hooks = Hooks(self, self.open_recorder, schedule)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        self._hooks.handle(event_type, fl_ctx)
        with self._hooks.guarded(fl_ctx):
            if event_type == EventType.START_WORKFLOW and self._hooks.encrypted:
                logger.warning(ENCRYPTED)
            elif event_type == AppEventType.AFTER_CONTRIBUTION_ACCEPT:
                self._record(fl_ctx)
            elif event_type == AppEventType.AFTER_AGGREGATION:
                self._conclude(fl_ctx)

    def _record(self, fl_ctx: FLContext) -> None:
        """Record what a client sent, if the workflow accepted it."""
        model = model_in(fl_ctx.get_prop(AppConstants.TRAINING_RESULT))
        number = fl_ctx.get_prop(AppConstants.CURRENT_ROUND)
        if number is None or model is None or model.params is None or self._hooks.encrypted:
            return
        client = client_of(model, fl_ctx)
        self._hooks.training.open(number)
        if why := self._problem_of(model, client, fl_ctx):
            logger.warning("what %s sent is not recorded: %s", client, why)
            self._hooks.training.fail(client, why)

    def _problem_of(self, model: FLModel, client: str, fl_ctx: FLContext) -> str:
        """Record a model; return why not, or an empty text."""
        if fl_ctx.get_prop(AppConstants.AGGREGATION_ACCEPTED) is False:
            return "the workflow did not accept it"
        try:
            update = update_of(model, client)
        except TypeError as error:
            return str(error)
        weights = self._hooks.of_workflow("aggregation_weights") or {}
        return self._hooks.training.update(update, update.steps * float(weights.get(client, 1.0)))

    def _conclude(self, fl_ctx: FLContext) -> None:
        result = model_in(fl_ctx.get_prop(AppConstants.AGGREGATION_RESULT))
        if result is not None and result.params is not None and not self._hooks.encrypted:
            self._hooks.training.conclude(result)
