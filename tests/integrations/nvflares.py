"""NVFlare without processes: its own workflows, over a communicator whose clients answer at once."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from nvflare.apis.client import Client as Site
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.event_type import EventType
from nvflare.apis.filter import Filter
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext, FLContextManager
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.apis.wf_comm_spec import WFCommSpec
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from flstore_core.errors import FLStoreError
from flstore_core.integrations.nvflare.models import model_in

Client = Callable[[FLModel], FLModel | None]
"""What a site does with a task; None for a failure."""


class MemoryPersistor(ModelPersistor):  # type: ignore[misc]
    """Keeps the model that it is given."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = dict(model)

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        return make_model_learnable(dict(self.model), {})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        self.model = dict(model[ModelLearnableKey.WEIGHTS])


class Server(WFCommSpec):  # type: ignore[misc]
    """The server of one job, as its components see it.

    Attributes:
        panics: why the job was stopped.
        asked: the sites that each task went to.
        results: what came from each site, in order.
    """

    def __init__(self, clients: Mapping[str, Client], components: Mapping[str, FLComponent]) -> None:
        self._clients = dict(clients)
        self._components = dict(components)
        self._contexts = FLContextManager(engine=self, identity_name="server", job_id="job")
        self._abort = Signal()
        self.panics: list[str] = []
        self.asked: list[list[str]] = []
        self.results: list[tuple[str, Shareable]] = []
        self.nbytes = 0
        """Bytes of arrays in messages."""
        self._filters: dict[str, list[Filter]] = {"sent": [], "asked": [], "answered": []}

    def run(self, *workflows: FLComponent) -> None:
        """Run workflows to their end, with the events of a whole run."""
        self.fire_event(EventType.START_RUN, self.new_context())
        for number, workflow in enumerate(workflows):
            self._components[f"workflow-{number}"] = workflow
            workflow.set_communicator(self)
            context = self.new_context()
            context.set_prop(FLContextKey.WORKFLOW, f"workflow-{number}", sticky=True)
            workflow.initialize(context)
            self.fire_event(EventType.START_WORKFLOW, context)
            workflow.control_flow(self._abort, self.new_context())
            self.fire_event(EventType.END_WORKFLOW, self.new_context())
        self.fire_event(EventType.END_RUN, self.new_context())

    # What components ask of the engine

    def new_context(self) -> FLContext:
        return self._contexts.new_context()

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.FATAL_SYSTEM_ERROR:
            self.panics.append(fl_ctx.get_prop(FLContextKey.EVENT_DATA))
            self._abort.trigger(True)
        for component in list(self._components.values()):
            component.handle_event(event_type, fl_ctx)

    def get_component(self, component_id: str) -> Any:
        return self._components.get(component_id)

    def get_clients(self) -> list[Site]:
        return [Site(name, "token") for name in self._clients]

    def persist_components(self, fl_ctx: FLContext, completed: bool) -> None:
        """Keep nothing."""

    # Filters, as a recipe takes them

    def add_server_output_filter(self, filter: Filter, tasks: list[str]) -> None:  # noqa: A002
        self._filters["sent"].append(filter)

    def add_client_input_filter(self, filter: Filter, tasks: list[str]) -> None:  # noqa: A002
        self._filters["asked"].append(filter)

    def add_client_output_filter(self, filter: Filter, tasks: list[str]) -> None:  # noqa: A002
        self._filters["answered"].append(filter)

    # What workflows ask of the communicator

    def broadcast(self, task: Task, fl_ctx: FLContext, targets: Any = None, *_: Any, **__: Any) -> None:
        names = [getattr(each, "name", each) for each in targets or self._clients]
        self.asked.append(names)
        for name in names:
            self._answer(ClientTask(Site(name, "token"), task))

    broadcast_and_wait = broadcast

    def get_num_standing_tasks(self) -> int:
        return 0

    def context_of(self, name: str) -> FLContext:
        """Return the context of a message from a site."""
        context, peer = self.new_context(), FLContext()
        peer.put(ReservedKey.IDENTITY_NAME, name, private=False, sticky=False)
        context.set_peer_context(peer)
        return context

    def _answer(self, client_task: ClientTask) -> None:
        task, context = client_task.task, self.context_of(client_task.client.name)
        task.before_task_sent_cb(client_task, context)
        asked = self._filtered("sent", copy.deepcopy(task.data), context)
        self.nbytes += _nbytes(asked)
        client_task.result = self._work(client_task, asked)
        self.nbytes += _nbytes(client_task.result)
        client_task.result.set_peer_props({ReservedKey.IDENTITY_NAME: client_task.client.name})
        self.results.append((client_task.client.name, client_task.result))
        task.result_received_cb(client_task, context)

    def _work(self, client_task: ClientTask, asked: Shareable) -> Shareable:
        """Do what the site's process does."""
        context = FLContext()
        context.set_prop(FLContextKey.TASK_ID, client_task.id, private=True, sticky=False)
        try:
            asked = self._filtered("asked", asked, context)
            model = self._clients[client_task.client.name](FLModelUtils.from_shareable(asked))
            return self._filtered("answered", _reply(client_task.task.data, model), context)
        except FLStoreError:
            return _reply(client_task.task.data, None)

    def _filtered(self, where: str, message: Shareable, context: FLContext) -> Shareable:
        for each in self._filters[where]:
            message = each.process(message, context)
        return message


def _nbytes(message: Shareable) -> int:
    model = model_in(message)
    arrays = model.params.values() if model and model.params else ()
    return sum(getattr(array, "nbytes", 0) for array in arrays)


def _reply(task: Shareable, model: FLModel | None) -> Shareable:
    reply = FLModelUtils.to_shareable(model) if model else make_reply(ReturnCode.EXECUTION_EXCEPTION)
    reply.set_cookie_jar(task.get_cookie_jar())
    return reply


def initial() -> dict[str, Any]:
    return {"w": np.zeros((4, 8), np.float32), "steps": np.array(0)}


def learner(seed: int, sign: float = 1.0, is_delta: bool = False, **changes: Any) -> Client:
    """Return a client that takes a step towards 1, or with a negative sign away from it.

    Args:
        changes: tensors that are sent in place of what was learned, or left out where they are None.
    """
    rng = np.random.default_rng(seed)

    def train(task: FLModel) -> FLModel:
        w = task.params.get("w", np.zeros((4, 8), np.float32))
        step = 0.3 * (1.0 - w) + 0.05 * rng.standard_normal((4, 8)).astype(np.float32)
        learned = {"w": (w + sign * step).astype(np.float32), "steps": np.array(1 + round(float(task.params["steps"])))}
        if is_delta:
            learned = {name: array - task.params[name] for name, array in learned.items()}
        sent = {name: array for name, array in {**learned, **changes}.items() if array is not None}
        return FLModel(
            params_type="DIFF" if is_delta else "FULL",
            params=sent,
            metrics={"loss": float(np.abs(1.0 - w).mean())},
            meta={"NUM_STEPS_CURRENT_ROUND": 10 + seed},
        )

    return train


def clients_of(count: int, attackers: int = 0, **arguments: Any) -> dict[str, Client]:
    """Return clients by name; the first are attackers."""
    return {
        f"site-{number}": learner(number, -1.0 if number <= attackers else 1.0, **arguments)
        for number in range(1, count + 1)
    }
