"""The rounds of a training, as components of NVFlare tell of them.

NVFlare counts rounds from 0, or from where an earlier run ended. A recorder counts them from 1, and its round 0 is the
initial model:

    NVFlare    the first task's model    round 5    round 6
    recorder   round 0                   round 1    round 2

The job is opened with the first update, which shows whether clients send models or differences. By reference, it is
opened before, and clients send models.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nvflare.app_common.abstract.fl_model import FLModel, ParamsType

from flstore_core.errors import InvalidParameters
from flstore_core.integrations.nvflare.models import Arrays, Update, arrays_of, nothing_like, recordable, shapes_of
from flstore_core.integrations.nvflare.references import Later
from flstore_core.integrations.recorder import Advice, Recorder
from flstore_core.integrations.recorder.ranks import padded

FAILURES = "failures"
"""The metric of a round with the clients whose results did not count, each with the reason."""
NOT_SENT = "not_sent"
"""The metric of an update with the tensors that its client did not send; they are recorded as it received them."""


class Chapters:
    """Tells a recorder of one training. Safe to call from any thread.

    Args:
        open_recorder: begins to record, of models or of differences.
    """

    def __init__(self, open_recorder: Callable[[bool], Recorder]) -> None:
        self._open_recorder = open_recorder
        self._recorder: Recorder | None = None
        self._lock = threading.RLock()
        self._started: object = None
        """The round of NVFlare whose model is known."""
        self._first: int | None = None
        """The round of NVFlare that is the next after `_before`."""
        self._before = 0
        self._number = 0
        self._is_open = False
        self._is_delta = False
        self._model: Arrays = {}
        """The global model: the last value of each tensor."""
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._clients: set[str] = set()
        self._metrics: dict[str, Any] = {}
        self._aggregate: Arrays | None = None

    @property
    def number(self) -> int:
        """The recorder's round that is being trained, or was the last; 0 before the first."""
        return self._number

    def begin_workflow(self) -> None:
        """Number the rounds of a further workflow on."""
        with self._lock:
            self.close()
            self._before, self._first, self._started = self._number, None, None

    def start(self, round_: int, params: Any) -> None:
        """Note the model that a round starts from. Clients that learn from scratch start from none."""
        with self._lock:
            if self._started == round_:
                return
            self._started = round_
            self._first = round_ if self._first is None else self._first
            if isinstance(params, Later):  # which the store has
                return
            try:
                self._know(arrays_of(params))
            except TypeError:  # such as scikit-learn's hyperparameters, from which clients make a model
                return

    def begin(self) -> Recorder:
        """Open the job before the first update, of models; return its recorder.

        Raises:
            InvalidParameters: if it is not known what training starts from.
        """
        with self._lock:
            if self._recorder is None and not self._model:
                raise InvalidParameters("by reference, a training needs a model of arrays to start from")
            if self._recorder is None:
                self._recorder = self._open_recorder(False)
                self._recorder.begin(recordable(self._model))
            return self._recorder

    def open(self, round_: int) -> None:
        """Begin a round of NVFlare, unless it has begun."""
        with self._lock:
            if self._first is None:
                self._first = round_
            number = self._before + 1 + round_ - self._first
            if number == self._number:
                return
            self.close()
            self._number, self._is_open = number, True
            self._clients, self._metrics, self._aggregate = set(), {}, None

    def update(self, update: Update, weight: float) -> str:
        """Record what a client sent in this round; return why it must not be averaged, or an empty text."""
        with self._lock:
            if why := self.note(update.client):
                return why
            recorder = self._recorder or self._begin(update)
            if update.is_delta != self._is_delta:
                return f"it has {_kind(update.is_delta)}, and others have {_kind(self._is_delta)}"
            arrays, metrics = self._whole(update.arrays), dict(update.metrics)
            if missing := sorted(arrays.keys() - update.arrays.keys()):
                metrics[NOT_SENT] = missing
            recorder.update(self._number, update.client, recordable(arrays), metrics, weight)
            return self._misfit(self.padded(update))

    def padded(self, update: Update) -> Update:
        """Return an update whose LoRA adapters have the rank of the job's; anything else stays as it is."""
        shapes = self._shapes
        arrays = {name: padded(name, each, shapes.get(name, each.shape)) for name, each in update.arrays.items()}
        return replace(update, arrays=arrays)

    def note(self, client: str) -> str:
        """Note who sent something in this round; return why it must not be averaged, or an empty text."""
        with self._lock:
            if not self._is_open:
                return "it came after the round was closed"
            if client in self._clients:
                return "its client has sent another one before"
            self._clients.add(client)
            return ""

    def advise(self) -> Advice:
        """Return what is advised on the round's updates."""
        return self._recorder.advise(self._number) if self._recorder and self._clients else Advice()

    def choose(self, workload: str, count: int) -> list[str]:
        """Return the clients that a workload chooses for this round; none if it does not."""
        if self._recorder is None or self._number < 2:
            return []
        return self._recorder.choose(self._number, workload, count) or []

    def fail(self, client: str, why: str) -> None:
        """Note that a client's result did not count."""
        with self._lock:
            self._metrics.setdefault(FAILURES, {})[client] = why

    def conclude(self, result: FLModel) -> None:
        """Note what the round's updates were aggregated to."""
        with self._lock:
            self._metrics |= {name: value for name, value in (result.metrics or {}).items() if name != FAILURES}
            if isinstance(result.params, Later):
                return
            try:
                arrays = arrays_of(result.params or {})
            except TypeError:
                return
            if result.params_type == ParamsType.DIFF:
                arrays = {name: self._model[name] + step for name, step in arrays.items() if name in self._model}
            self._aggregate = arrays

    def unchanged(self) -> FLModel:
        """Return the global model as it is, for a round in which nobody counts."""
        return FLModel(params_type=ParamsType.FULL, params=dict(self._model))

    def end(self, params: Any) -> None:
        """Close the round with the model that it ended with, which may be another than the clients' average."""
        with self._lock:
            if self._is_open:
                self._aggregate = None if isinstance(params, Later) else arrays_of(params)
                self.close()

    def close(self) -> None:
        """Close the round, if one is open."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            if self._aggregate:
                self._know(self._aggregate)
            if self._recorder is not None:
                self._recorder.close(self._number, recordable(self._model) if self._aggregate else None, self._metrics)

    def finish(self) -> None:
        """End the training."""
        self.close()
        if self._recorder is not None:
            self._recorder.finish()

    def _begin(self, update: Update) -> Recorder:
        self._is_delta = update.is_delta
        recorder = self._recorder = self._open_recorder(update.is_delta)
        recorder.before_exit(self.close)
        if self._model.keys() >= update.arrays.keys():
            recorder.begin(recordable(self._model))
        else:  # it is not known what training starts from
            self._model, self._shapes = {}, update.shapes
            recorder.begin(None, like=recordable(update.arrays))
        return recorder

    def _know(self, arrays: Arrays) -> None:
        self._model.update(arrays)
        self._shapes.update(shapes_of(arrays))

    def _whole(self, arrays: Arrays) -> Arrays:
        """Return an update with the tensors that were not sent: they did not change."""
        absent = {name: array for name, array in self._model.items() if name not in arrays}
        if self._is_delta:
            absent = {name: nothing_like(array) for name, array in absent.items()}
        return {**arrays, **absent}

    def _misfit(self, update: Update) -> str:
        for name, shape in update.shapes.items():
            if self._shapes.get(name, shape) != shape:
                return f"its tensor {name!r} has the shape {shape}, and the model's has {self._shapes[name]}"
        return ""


def _kind(is_delta: bool) -> str:
    return "differences" if is_delta else "models"
