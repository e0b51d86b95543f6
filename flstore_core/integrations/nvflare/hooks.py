"""What both components do at events of NVFlare."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnableKey
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from flstore_core.errors import Unavailable
from flstore_core.integrations.nvflare.chapters import Chapters
from flstore_core.integrations.nvflare.models import model_in
from flstore_core.integrations.recorder import Recorder

logger = logging.getLogger("flstore.nvflare")

ENCRYPTION = "nvflare.app_opt.he."
"""The modules of NVFlare whose components aggregate what they cannot read."""


class Guard:
    """A block that never raises: NVFlare goes on after an exception, without what should have come after it.

    If recording is required and fails, the job is stopped instead.
    """

    def __init__(self, component: FLComponent, fl_ctx: FLContext | None) -> None:
        self._component = component
        self._fl_ctx = fl_ctx

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Unavailable) and self._fl_ctx is not None:
            self._component.system_panic(str(error), self._fl_ctx)
        elif isinstance(error, Exception):
            logger.error("FLStore has not recorded this, and the training goes on: %s", error, exc_info=error)
        return isinstance(error, Exception)


class Hooks:
    """Follows a component's job from its start to its end.

    Args:
        component: the one that is told of events.
        open_recorder: begins to record, of models or of differences.
        schedule: the workload that chooses each round's clients; empty if the workflow does.
    """

    def __init__(self, component: FLComponent, open_recorder: Callable[[bool], Recorder], schedule: str) -> None:
        self._component = component
        self._open_recorder = open_recorder
        self._schedule = schedule
        self.training = Chapters(open_recorder)
        self.encrypted = False
        """Whether the workflow aggregates what it cannot read."""
        self._controller: Any = None
        self._at: Mapping[str, Callable[[FLContext], None]] = {
            EventType.START_RUN: self._start_run,
            EventType.START_WORKFLOW: self._start_workflow,
            AppEventType.BEFORE_TRAIN_TASK: self._start_round,
            AppEventType.AFTER_SHAREABLE_TO_LEARNABLE: self._end_round,
            EventType.END_RUN: self._end_run,
        }

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Do what is to be done at an event; never raise."""
        if event_type in self._at:
            with self.guarded(fl_ctx):
                self._at[event_type](fl_ctx)

    def of_workflow(self, name: str) -> Any:
        """Return an argument of the workflow's own averaging; None if it has none."""
        return getattr(self._controller, name, None)

    def guarded(self, fl_ctx: FLContext | None) -> "Guard":
        """Return a block in which nothing fails."""
        return Guard(self._component, fl_ctx)

    def _start_run(self, fl_ctx: FLContext) -> None:
        self.training = Chapters(self._open_recorder)

    def _start_workflow(self, fl_ctx: FLContext) -> None:
        self.training.begin_workflow()
        engine = fl_ctx.get_engine()
        self._controller = engine.get_component(fl_ctx.get_prop(FLContextKey.WORKFLOW)) if engine else None
        generator = getattr(self._controller, "shareable_generator_id", "")
        self.encrypted = bool(generator) and type(engine.get_component(generator)).__module__.startswith(ENCRYPTION)
        if self._schedule:
            self._schedule_clients()

    def _start_round(self, fl_ctx: FLContext) -> None:
        task = fl_ctx.get_prop(AppConstants.TRAIN_SHAREABLE)
        number = task.get_header(AppConstants.CURRENT_ROUND) if task else None
        model = model_in(task)
        if number is not None and model is not None and not self.encrypted:
            self.training.start(number, model.params)

    def _end_round(self, fl_ctx: FLContext) -> None:
        model = fl_ctx.get_prop(AppConstants.GLOBAL_MODEL)
        if model is not None and not self.encrypted:
            self.training.end(model[ModelLearnableKey.WEIGHTS])

    def _end_run(self, fl_ctx: FLContext) -> None:
        self.training.finish()

    def _schedule_clients(self) -> None:
        """Have the workflow's own sampling followed by a choice of the schedule's."""
        sample = getattr(self._controller, "sample_clients", None)
        if sample is None:
            kind = type(self._controller).__name__
            logger.warning("%s does not sample clients; %s is not asked", kind, self._schedule)
            return

        def sample_clients(*args: Any, **kwargs: Any) -> list[str]:
            sampled = [str(getattr(client, "name", client)) for client in sample(*args, **kwargs)]
            with self.guarded(self._controller.fl_ctx):
                return self._chosen(sampled)
            return sampled

        self._controller.sample_clients = sample_clients

    def _chosen(self, sampled: list[str]) -> list[str]:
        """Return as many clients as were sampled: those that the schedule chooses and that are there, then others."""
        self.training.open(self._controller.current_round)
        there = {client.name for client in self._controller.engine.get_clients()}
        chosen = [name for name in self.training.choose(self._schedule, len(sampled)) if name in there]
        return [*chosen, *(name for name in sampled if name not in chosen)][: len(sampled)]
