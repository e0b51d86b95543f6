"""Around the methods of a strategy of the message API."""

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from flstore_core.integrations.flower.chapters import Chapters
from flstore_core.integrations.flower.models import Arrays, model_of, plain
from flstore_core.integrations.flower.names import name_of

MASKED_RECORD = "secaggplus_configs"
"""The record in which replies of secure aggregation have masked vectors."""

Aggregate = tuple[ArrayRecord | None, MetricRecord | None]


class MessageHooks:
    """What is done before and after each method of a strategy.

    Args:
        open_training: begins to record a training.
    """

    def __init__(self, strategy: Strategy, open_training: Callable[[], Chapters]) -> None:
        self._open_training = open_training
        self._training: Chapters | None = None
        self._weight_key = weight_key(strategy)
        self._start = strategy.start
        self._configure_train = strategy.configure_train
        self._aggregate_train = strategy.aggregate_train
        self._aggregate_evaluate = strategy.aggregate_evaluate

    @property
    def methods(self) -> Mapping[str, Callable[..., Any]]:
        """The methods that take the place of the strategy's own."""
        return {
            "start": self.start,
            "configure_train": self.configure_train,
            "aggregate_train": self.aggregate_train,
            "aggregate_evaluate": self.aggregate_evaluate,
        }

    def start(self, *args: Any, **kwargs: Any) -> Any:
        """Run the training, from the initial model to the report."""
        given = inspect.signature(self._start).bind(*args, **kwargs)
        values = list(given.arguments.values())
        training = self._begin()
        try:
            for initial in (value for value in values if isinstance(value, ArrayRecord)):
                training.begin(lambda initial=initial: model_of({"": initial}))  # type: ignore[misc]
            if evaluate := given.arguments.get("evaluate_fn"):
                given.arguments["evaluate_fn"] = self._evaluating(evaluate)
            with _heard(next((value for value in values if isinstance(value, Grid)), None), self._hear):
                return self._start(*given.args, **given.kwargs)
        finally:
            training.finish()
            self._training = None

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Any:
        """Open the round, and have its clients chosen."""
        training = self._recorded()
        self._start_from(training, arrays)
        messages = list(self._configure_train(server_round, arrays, config, grid))
        training.open(server_round, plain(config))  # after the strategy has written into it
        chosen = training.choose(len(messages), map(str, grid.get_node_ids()))
        return _redirected(messages, [int(node) for node in chosen])

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Aggregate:
        """Record what has not been recorded yet, ask for advice, and have the rest aggregated."""
        training = self._recorded()
        messages = list(replies)
        if training.number != server_round:  # a loop that does not configure its rounds
            training.open(server_round, {})
        kept = self._advised(training, messages)
        training.fail({self._name(each): str(each.error.reason) for each in messages if each.has_error()})
        arrays, metrics = self._aggregate_train(server_round, kept)
        training.add(plain(metrics))
        if arrays is not None:
            self._end_with(training, arrays)
        return arrays, metrics

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Record the metrics of the round's model."""
        metrics = self._aggregate_evaluate(server_round, replies)
        self._recorded().add(plain(metrics))
        return metrics

    def _recorded(self) -> Chapters:
        return self._training or self._begin()

    def _begin(self) -> Chapters:
        self._training = self._open_training()
        return self._training

    def _start_from(self, training: Chapters, arrays: ArrayRecord) -> None:
        training.begin(lambda: model_of({"": arrays}))

    def _end_with(self, training: Chapters, arrays: ArrayRecord) -> None:
        training.end(lambda: model_of({"": arrays}))

    def _evaluating(self, evaluate: Callable[..., Any]) -> Callable[..., Any]:
        def evaluated(server_round: int, *args: Any, **kwargs: Any) -> Any:
            metrics = evaluate(server_round, *args, **kwargs)
            if metrics is not None and server_round:
                self._recorded().add(plain(metrics))
            return metrics

        return evaluated

    def _hear(self, messages: Iterable[Message]) -> None:
        """Record the updates among messages that have just come in: the store takes them while others still train."""
        training = self._recorded()
        for message in messages:
            if training.number and message.metadata.message_type.partition(".")[0] == MessageType.TRAIN:
                self._record(training, message)

    def _name(self, message: Message) -> str:
        return name_of(message)

    def _record(self, training: Chapters, message: Message) -> None:
        if message.has_error() or _is_masked(message) or not message.content.array_records:
            return
        metrics = plain(*message.content.metric_records.values())
        name, node = self._name(message), str(message.metadata.src_node_id)
        training.update(sent(message), name, node, _model_in(message), metrics, metrics.get(self._weight_key))

    def _advised(self, training: Chapters, messages: list[Message]) -> list[Message]:
        """Return the messages that are to be aggregated."""
        masked = [message for message in messages if _is_masked(message)]
        if masked:
            training.hide({name_of(each): plain(*each.content.metric_records.values()) for each in masked})
            return messages
        for message in messages:
            self._record(training, message)
        if not any(training.client(sent(message)) for message in messages):
            return messages
        advice = training.advise()
        factors = [advice.factor(training.client(sent(message))) for message in messages]
        return [
            message if factor == 1.0 else _weighed(message, self._weight_key, factor)
            for message, factor in zip(messages, factors, strict=True)
            if factor > 0.0
        ]


def weight_key(strategy: Any) -> str:
    """Return the metric by which a strategy, or the one that it wraps, weighs clients."""
    while not hasattr(strategy, "weighted_by_key") and hasattr(strategy, "strategy"):
        strategy = strategy.strategy
    return str(getattr(strategy, "weighted_by_key", "num-examples"))


@contextmanager
def _heard(grid: Any, hear: Callable[[Iterable[Message]], None]) -> Iterator[None]:
    """Have replies heard of as a grid pulls them: `send_and_receive` returns only when the last has come."""
    pull = getattr(grid, "pull_messages", None)
    if pull is None:
        yield
        return

    def pull_and_hear(*args: Any, **kwargs: Any) -> list[Message]:
        messages = list(pull(*args, **kwargs))
        hear(messages)
        return messages

    grid.pull_messages = pull_and_hear
    try:
        yield
    finally:
        del grid.pull_messages


def sent(message: Message) -> object:
    """Return what tells a reply from all others."""
    return message.metadata.reply_to_message_id or message.metadata.message_id or id(message)


def _is_masked(message: Message) -> bool:
    return message.has_content() and MASKED_RECORD in message.content.config_records


def _model_in(message: Message) -> Callable[[], Arrays]:
    return lambda: model_of(message.content.array_records)


def _weighed(message: Message, key: str, factor: float) -> Message:
    """Return a message whose weight is multiplied; the original stays as it is."""
    metrics = message.content.metric_records.items()
    return with_records(
        message,
        {name: MetricRecord({**each, key: each[key] * factor}) for name, each in metrics if key in each},  # type: ignore[operator]
    )


def with_records(message: Message, records: Mapping[str, Any]) -> Message:
    """Return a message with other records under some keys; the original stays as it is."""
    changed = copy.copy(message)
    changed.content = RecordDict({**dict(message.content.items()), **records})
    return changed


def _redirected(messages: list[Message], nodes: list[int]) -> list[Message]:
    """Return messages for `nodes`, as many as there are; what is left over goes where it would have gone."""
    wanted = [node for node in nodes if node not in {message.metadata.dst_node_id for message in messages}]
    for message in messages:
        if wanted and message.metadata.dst_node_id not in nodes:
            message.metadata.dst_node_id = wanted.pop(0)
    return messages
