"""Flower without processes: a grid whose nodes answer at once, and clients that learn one way."""

import random
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

Client = Callable[[Message], RecordDict | Error]


class FakeGrid(Grid):
    """Nodes that answer when they are asked, one reply for each pull.

    Attributes:
        pushed: the nodes that messages went to, by round.
        at_pull: is called before each pull.
    """

    def __init__(self, clients: Mapping[int, Client]) -> None:
        self._clients = dict(clients)
        self._numbers = count(1)
        self._replies: dict[str, Message] = {}
        self.pushed: list[list[int]] = []
        self.at_pull: Callable[[], None] = lambda: None

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        raise NotImplementedError

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self._clients)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids = []
        self.pushed.append([])
        for message in messages:
            name = str(next(self._numbers))
            message.metadata.__dict__["_message_id"] = name
            answer = self._clients[message.metadata.dst_node_id](message)
            self._replies[name] = Message(answer, reply_to=message)
            self._replies[name].metadata.__dict__["_src_node_id"] = message.metadata.dst_node_id
            self.pushed[-1].append(message.metadata.dst_node_id)
            ids.append(name)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.at_pull()
        there = sorted(name for name in message_ids if name in self._replies)
        return [self._replies.pop(name) for name in there[:1]]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        waiting = set(self.push_messages(messages))
        received: list[Message] = []
        while waiting:
            pulled = list(self.pull_messages(waiting))
            waiting -= {message.metadata.reply_to_message_id for message in pulled}
            received += pulled
        return iter(received)  # may be gone through once


def record(model: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in model.items()})


def learner(seed: int, sign: float = 1.0, name: str = "") -> Client:
    """Return a client that takes a step towards 1, or with a negative sign away from it, and evaluates."""
    rng = np.random.default_rng(seed)

    def answer(message: Message) -> RecordDict:
        if message.metadata.message_type == "evaluate":
            return RecordDict({"metrics": MetricRecord({"num-examples": 10, "eval_acc": 0.5})})
        model = {key: array.numpy() for key, array in message.content.array_records["arrays"].items()}
        w = model["w"]
        step = 0.3 * (1.0 - w) + 0.05 * rng.standard_normal(w.shape)
        learned = {"w": (w + sign * step).astype(np.float32), "steps": np.array(round(float(model["steps"])) + 1)}
        metrics = MetricRecord({"num-examples": 10 + seed, "train_loss": float(np.abs(1.0 - w).mean())})
        content = RecordDict({"arrays": record(learned), "metrics": metrics})
        if name:
            content["flstore"] = ConfigRecord({"flstore-client": name})
        return content

    return answer


def grid_of(clients: int, attackers: int = 0) -> FakeGrid:
    """Return a grid of named clients on nodes with random ids; the first are attackers."""
    ids = random.sample(range(10**9, 10**10), clients)
    return FakeGrid({
        node: learner(number, -1.0 if number < attackers else 1.0, f"c{number}") for number, node in enumerate(ids)
    })  # fmt: skip


def initial() -> ArrayRecord:
    return record({"w": np.zeros((4, 8), np.float32), "steps": np.array(0)})


def context(**node_config: Any) -> Context:
    return Context(run_id=1, node_id=2, node_config=node_config, state=RecordDict(), run_config={})
