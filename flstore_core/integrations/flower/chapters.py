"""The rounds of a training, as strategies of either kind tell of them."""

from collections.abc import Callable, Iterable, Mapping
from itertools import chain, count
from typing import Any

from flstore_core.integrations.flower.models import Arrays
from flstore_core.integrations.recorder import Advice, Recorder

FAILURES = "failures"
"""The metric of a round with the clients that failed in it, each with the reason."""
MASKED = "secure_aggregation"
"""The metric of a round whose updates only the clients themselves can read; theirs are under `clients`."""


class Chapters:
    """Tells a recorder of one training.

    A round is closed when the next one begins or the training ends: what its model was evaluated to comes after it.

    Args:
        schedule: the workload that chooses the next round's clients; empty if the strategy does.
    """

    def __init__(self, recorder: Recorder, schedule: str) -> None:
        self._recorder = recorder
        recorder.before_exit(self.close)
        self._schedule = schedule
        self._number = 0
        self._settings: Mapping[str, Any] = {}
        self._metrics: dict[str, Any] = {}
        self._names: dict[object, str] = {}
        """Of the clients of this round, by what they sent."""
        self.nodes: dict[str, str] = {}
        """The node of each client that was heard of."""

    @property
    def recorder(self) -> Recorder:
        return self._recorder

    @property
    def number(self) -> int:
        """The round that is being trained; 0 before the first."""
        return self._number

    def begin(self, model: Callable[[], Arrays]) -> None:
        """Note the model that training starts from, unless it is noted."""
        self._with("the initial model", model, self._recorder.begin)

    def open(self, number: int, settings: Mapping[str, Any]) -> None:
        """Begin a round, and close the one before."""
        self.close()
        self._number, self._settings = number, settings
        self._metrics, self._names = {}, {}

    def choose(self, how_many: int, present: Iterable[str]) -> list[str]:
        """Return the nodes that the schedule chooses for this round among those that are there; none if it has none."""
        if not self._schedule or self._number < 2:
            return []
        chosen = self._recorder.choose(self._number, self._schedule, how_many) or []
        there = set(present)
        return [self.nodes[name] for name in chosen if self.nodes.get(name) in there]

    def update(
        self, sent: object, name: str, node: str, model: Callable[[], Arrays], metrics: Mapping[str, Any], weight: Any
    ) -> None:
        """Record what a client sent, unless it is recorded already."""
        if sent in self._names:
            return
        client = self.note(sent, name, node)

        def record(arrays: Arrays) -> None:
            self._recorder.update(self._number, client, arrays, metrics, weight)

        self._with(f"the update of {client!r} in round {self._number}", model, record)

    def note(self, sent: object, name: str, node: str) -> str:
        """Note who sent something, whose model the store has from elsewhere; return the name it is recorded under."""
        client = self._names[sent] if sent in self._names else self._client(name, node)
        self._names[sent], self.nodes[client] = client, node
        return client

    def advise(self) -> Advice:
        """Return what is advised on the round's updates."""
        return self._recorder.advise(self._number)

    def client(self, sent: object) -> str:
        """Return the name under which an update is recorded."""
        return self._names.get(sent, "")

    def fail(self, failures: Mapping[str, str]) -> None:
        """Note the clients that failed, with the reasons."""
        if failures:
            self._metrics[FAILURES] = {**self._metrics.get(FAILURES, {}), **failures}

    def hide(self, metrics: Mapping[str, Mapping[str, Any]]) -> None:
        """Note what is known of clients whose updates are masked: their metrics alone."""
        self._metrics |= {MASKED: True, "clients": {name: dict(values) for name, values in metrics.items()}}

    def add(self, metrics: Mapping[str, Any]) -> None:
        """Note metrics of the round, of training or of evaluation; a name that is taken gets a prefix."""
        for name, value in metrics.items():
            self._metrics[f"evaluate_{name}" if name in self._metrics else name] = value

    def end(self, model: Callable[[], Arrays]) -> None:
        """Note the model that the round ended with."""
        number = self._number
        self._with(f"the aggregate of round {number}", model, lambda arrays: self._recorder.aggregate(number, arrays))

    def close(self) -> None:
        """Close the round, if one is open."""
        if self._number:
            number, self._number = self._number, 0
            self._recorder.close(number, metrics=self._metrics, hyperparameters=self._settings)

    def finish(self) -> None:
        """End the training."""
        self.close()
        self._recorder.finish()

    def _client(self, name: str, node: str) -> str:
        """Return a name that no other update of this round has."""
        more = (f"{name}@{node}.{number}" for number in count(2))
        return next(each for each in chain([name, f"{name}@{node}"], more) if each not in self._names.values())

    def _with(self, what: str, model: Callable[[], Arrays], use: Callable[[Arrays], None]) -> None:
        """Use a model; one that cannot be read is told of, and the training itself may not need it to be."""
        try:
            arrays = model()
        except Exception as error:  # of any library
            self._recorder.miss(what, error)
        else:
            use(arrays)
