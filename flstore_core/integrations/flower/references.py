"""Around the methods of a strategy whose server holds no model.

Messages of training and evaluation name the model, and replies name updates, so that arrays pass through nobody but
clients and FLStore. The strategy's own code goes on as before:

- Arrays that it is handed (`aggregate_train`, `evaluate_fn`, the result) are fetched when it reads them, not before.
- `FedAvg.aggregate_train`, the strategy's own or the one that its class calls with `super()`, has FLStore make the
  aggregate, of the replies that it is given and by the weights that they say; `Averaging` takes its place.
- What the strategy returns in its place, such as the step of a server's optimizer, is stored as the round's aggregate.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Strategy

from flstore_core.errors import FLStoreError, InvalidParameters, Unavailable
from flstore_core.integrations.flower.chapters import Chapters
from flstore_core.integrations.flower.messages import Aggregate, MessageHooks, sent, with_records
from flstore_core.integrations.flower.models import lazy_record, plain
from flstore_core.integrations.flower.participating import KEY, REFERENCE, TEXT
from flstore_core.integrations.recorder.desk import is_away
from flstore_core.integrations.reference import Assignment, ByReference, Coordinator, Delivery

logger = logging.getLogger("flstore.flower")


class Averaging(FedAvg):
    """Comes before `FedAvg` among the classes of a strategy."""

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Aggregate:
        hooks: ReferenceHooks = vars(self)["flstore"]
        return hooks.average(server_round, list(replies), super().aggregate_train)


class ReferenceHooks(MessageHooks):
    """What is done before and after each method of a strategy.

    Args:
        open_training: begins to record a training.
        url: of the gateway, as clients reach it unless the options say otherwise.

    Raises:
        InvalidParameters: if the strategy does not stand on `FedAvg`.
    """

    def __init__(
        self, strategy: Strategy, open_training: Callable[[], Chapters], options: ByReference, url: str
    ) -> None:
        strategy.__class__ = _averaging(type(strategy))
        super().__init__(strategy, open_training)
        self._configure_evaluate = strategy.configure_evaluate
        self._options = options
        self._url = url
        self._coordinator: Coordinator | None = None
        self._names: Sequence[str] = ()
        """Of the model's arrays."""
        self._newest: ArrayRecord | None = None
        """The newest model, to be fetched."""
        self._weights: dict[str, Any] = {}
        """What clients of this round said that they weigh."""

    @property
    def methods(self) -> Mapping[str, Callable[..., Any]]:
        return {**super().methods, "configure_evaluate": self.configure_evaluate}

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Any:
        """Open the round, and send a reference to the model with a ticket for each client's update."""
        messages = super().configure_train(server_round, arrays, config, grid)
        self._names, self._weights = list(arrays), {}
        return self._referring(messages, self._coordinating().assign)

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Any:
        """Send a reference to the model that is to be evaluated."""
        messages = list(self._configure_evaluate(server_round, arrays, config, grid))
        return self._referring(messages, self._coordinating().assign_evaluation) if messages else messages

    def average(self, server_round: int, messages: list[Message], fedavg: Callable[..., Aggregate]) -> Aggregate:
        """Have FLStore average the updates that replies name, and Flower the replies' metrics."""
        if not any(_delivery_in(message) for message in messages):
            return fedavg(server_round, messages)
        hollow = [_hollow(message) for message in messages]
        _, metrics = fedavg(server_round, hollow)
        number = self._recorded().number
        try:
            self._coordinating().aggregate(number, *self._shares(messages))
        except FLStoreError as error:
            if not is_away(error) or self._options.away == "stop":
                raise
            return self._average_values(server_round, messages, fedavg, error)
        self._newest = lazy_record(self._names, lambda: self._coordinating().model(number))
        return self._newest, metrics

    def _begin(self) -> Chapters:
        training = super()._begin()
        self._coordinator = Coordinator(training.recorder, self._options, self._url, self._weight_key)
        self._newest = None
        return training

    def _coordinating(self) -> Coordinator:
        self._recorded()
        assert self._coordinator is not None
        return self._coordinator

    def _start_from(self, training: Chapters, arrays: ArrayRecord) -> None:
        if arrays is not self._newest:
            super()._start_from(training, arrays)

    def _end_with(self, training: Chapters, arrays: ArrayRecord) -> None:
        if arrays is not self._newest:
            super()._end_with(training, arrays)
        elif self._options.away == "value":
            _load(arrays)

    def _name(self, message: Message) -> str:
        """Return the name that a client's ticket was issued for, whatever it says."""
        return str(message.metadata.src_node_id)

    def _record(self, training: Chapters, message: Message) -> None:
        if message.has_content():
            self._weights.setdefault(self._name(message), self._weight(message))
        if message.has_content() and REFERENCE in message.content.config_records:
            training.note(sent(message), self._name(message), self._name(message))
        else:
            super()._record(training, message)

    def _advised(self, training: Chapters, messages: list[Message]) -> list[Message]:
        for message in messages:
            self._record(training, message)
        refused = self._refused(training, messages)
        training.fail(refused)
        for client, why in refused.items():
            logger.warning("round %d goes on without client %s: %s", training.number, client, why)
        kept = [message for message in messages if self._name(message) not in refused]
        return [self._readable(training.number, message) for message in super()._advised(training, kept)]

    def _refused(self, training: Chapters, messages: list[Message]) -> dict[str, str]:
        """Return the clients whose references are not what is stored, each with the reason."""
        deliveries: dict[str, Delivery] = {}
        refused = {}
        for message in messages:
            try:
                if delivery := _delivery_in(message):
                    deliveries[self._name(message)] = delivery
            except FLStoreError as error:
                refused[self._name(message)] = str(error)
        try:
            return refused | self._coordinating().confirm(training.number, deliveries, self._weights)
        except Unavailable as error:
            if self._options.away == "stop":
                raise
            return refused | dict.fromkeys(deliveries, str(error))

    def _readable(self, number: int, message: Message) -> Message:
        """Return a reply whose arrays can be read, although they are in the store."""
        if not _delivery_in(message):
            return message
        client = self._name(message)
        key = str(message.content.config_records[REFERENCE][KEY])
        return with_records(
            message, {key: lazy_record(self._names, lambda: self._coordinating().update(number, client))}
        )

    def _shares(self, messages: list[Message]) -> tuple[list[str], dict[str, float]]:
        """Return the clients that sent messages, and what their weights have been multiplied by since they came."""
        weights = {self._name(each): self._weight(each) for each in messages if each.has_content()}
        came_with = self._weights
        factors = {client: weight / came_with[client] for client, weight in weights.items() if came_with.get(client)}
        return list(weights), factors

    def _weight(self, message: Message) -> Any:
        return plain(*message.content.metric_records.values()).get(self._weight_key)

    def _average_values(
        self, server_round: int, messages: list[Message], fedavg: Callable[..., Aggregate], error: FLStoreError
    ) -> Aggregate:
        """Average what came by value, where the rest cannot be reached."""
        here = [message for message in messages if message.has_content() and not _delivery_in(message)]
        lost = len(messages) - len(here)
        logger.warning("round %d goes on without %d updates that are in the store: %s", server_round, lost, error)
        return fedavg(server_round, here) if here else (None, None)

    def _referring(self, messages: list[Message], assign: Callable[..., Mapping[str, Assignment]]) -> list[Message]:
        """Return messages with references in place of the model; by value, where the store is away and that may be."""
        if not messages:
            return messages
        nodes = [str(message.metadata.dst_node_id) for message in messages]
        try:
            assignments = assign(self._recorded().number, nodes)
        except FLStoreError as error:
            if self._options.away == "stop" or not is_away(error):
                raise
            logger.warning("this round goes by value: %s", error)
            return messages
        return [_referring(message, assignments[node]) for node, message in zip(nodes, messages, strict=True)]


def _averaging(kind: type[Strategy]) -> type[Strategy]:
    """Return a strategy's class with `Averaging` before `FedAvg` among those that it stands on."""
    if kind is FedAvg:
        return Averaging
    if not issubclass(kind, FedAvg):
        raise InvalidParameters(
            f"{kind.__name__} does not stand on FedAvg, so it cannot go by reference; use transport='value', or a "
            "strategy that does"
        )
    return type(kind.__name__, (kind, Averaging), {"__module__": kind.__module__, "__doc__": kind.__doc__})


def _referring(message: Message, assignment: Assignment) -> Message:
    keys = list(message.content.array_records)
    if len(keys) != 1:
        raise InvalidParameters(f"a message has {len(keys)} records of arrays; by reference it has one")
    reference = ConfigRecord({TEXT: assignment.to_text(), KEY: keys[0]})
    return with_records(message, {keys[0]: ArrayRecord(), REFERENCE: reference})


def _delivery_in(message: Message) -> Delivery | None:
    """Return what a reply says of an update in the store; None if it has its update with it, or none."""
    record = message.content.config_records.get(REFERENCE) if message.has_content() else None
    return None if record is None else Delivery.from_text(record.get(TEXT))


def _hollow(message: Message) -> Message:
    if not message.has_content():
        return message
    return with_records(message, {key: ArrayRecord() for key in message.content.array_records})


def _load(arrays: ArrayRecord) -> None:
    """Read a model now, so that it is there while the store is not."""
    try:
        next(iter(arrays.values()), None)
    except FLStoreError as error:
        logger.warning("the server has no copy of the newest model: %s", error)
