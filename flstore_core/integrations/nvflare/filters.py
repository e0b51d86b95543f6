"""Filters of a job by reference: the server's messages name models, and its clients' messages name updates.

    server   ReferenceSender    a task's model becomes an assignment
    client   ReferenceReader    the assignment becomes the model, which is fetched from FLStore
    client   ReferenceWriter    the result's model is stored in FLStore, and becomes a delivery

The script between the last two trains on arrays, as it does by value.
"""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nvflare.apis.dxo import DataKind, from_shareable
from nvflare.apis.filter import Filter
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.integrations.nvflare.models import Arrays, arrays_of, model_in, steps_of
from flstore_core.integrations.nvflare.references import carrying, reference_in, referring
from flstore_core.integrations.recorder.desk import is_away
from flstore_core.integrations.reference import Assignment, Hosts, Participant

logger = logging.getLogger("flstore.nvflare")

TASKS = ("train",)
MOST_TASKS = 100
"""Tasks that clients in one process may be at."""


class ReferenceSender(Filter):  # type: ignore[misc]
    """Sends an assignment in place of the model, with the tickets of the client that asks; for tasks of the server."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        workflow = fl_ctx.get_engine().get_component(fl_ctx.get_prop(FLContextKey.WORKFLOW))
        refer = getattr(getattr(workflow, "aggregator", None), "refer", None)
        if refer is None:
            raise InvalidParameters("the workflow's aggregator is no FLStoreAggregator with transport='reference'")
        message: Shareable = refer(shareable, fl_ctx)
        return message


class ReferenceReader(Filter):  # type: ignore[misc]
    """Fetches the model that an assignment names; for tasks that come to a client.

    It goes where the site's operator allows it to: to the `FLSTORE_URL` of the client's environment.
    """

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        model = model_in(shareable)
        text = reference_in(model.params) if model else None
        if text is None:
            return shareable
        assignment = Assignment.from_text(text)
        arrays = _participant(Hosts.named()).fetch(assignment)
        _remember(fl_ctx, Task(assignment, frozenset(arrays)))
        return carrying(shareable, arrays, DataKind.WEIGHTS)


class ReferenceWriter(Filter):  # type: ignore[misc]
    """Stores the update in a result, and says so in its place; for results of a client, after all other filters."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        task, model = _recall(fl_ctx), model_in(shareable)
        is_update = shareable.get_return_code(ReturnCode.OK) == ReturnCode.OK and model and model.params
        if task is None or model is None or not is_update:
            return shareable
        participant, assignment, arrays = _participant(Hosts.named()), task.assignment, arrays_of(model.params)
        is_delta = from_shareable(shareable).data_kind == DataKind.WEIGHT_DIFF
        if is_delta or task.names - arrays.keys():
            arrays = _whole(arrays, participant.fetch(assignment), is_delta)
        metrics = {**(model.metrics or {}), assignment.weight_key: steps_of(model)}
        try:
            delivery = participant.deliver(assignment, arrays, metrics)
        except FLStoreError as error:
            if not (assignment.by_value and is_away(error)):
                raise
            logger.warning("the update is sent to the server, because FLStore does not take it: %s", error)
            return carrying(shareable, arrays, DataKind.WEIGHTS)
        return referring(shareable, delivery.to_text(), DataKind.WEIGHTS)


def by_reference(recipe: Any) -> Any:
    """Add the filters to a recipe, and return it; its aggregator is a `FLStoreAggregator` with `transport="reference"`.

    Filters that change updates, such as those for privacy, are added before.
    """
    tasks = list(TASKS)
    recipe.add_server_output_filter(ReferenceSender(), tasks=tasks)
    recipe.add_client_input_filter(ReferenceReader(), tasks=tasks)
    recipe.add_client_output_filter(ReferenceWriter(), tasks=tasks)
    return recipe


def _whole(arrays: Arrays, start: Arrays, is_delta: bool) -> Arrays:
    """Return a client's model; a tensor that it does not send is as it received it."""
    return {**start, **{name: start[name] + each if is_delta else each for name, each in arrays.items()}}


@dataclass(frozen=True)
class Task:
    """What a client is at."""

    assignment: Assignment
    names: frozenset[str]
    """Of the model's tensors."""


_tasks: OrderedDict[object, Task] = OrderedDict()
"""The tasks that clients in this process are at, by their ids."""
_lock = threading.Lock()


def _remember(fl_ctx: FLContext, task: Task) -> None:
    with _lock:
        _tasks[fl_ctx.get_prop(FLContextKey.TASK_ID)] = task
        while len(_tasks) > MOST_TASKS:
            _tasks.popitem(last=False)


def _recall(fl_ctx: FLContext) -> Task | None:
    with _lock:
        return _tasks.pop(fl_ctx.get_prop(FLContextKey.TASK_ID), None)


@lru_cache(maxsize=4)
def _participant(hosts: Hosts) -> Participant:
    """Return what the clients in this process share."""
    return Participant(hosts)
