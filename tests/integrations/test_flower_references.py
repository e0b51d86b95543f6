"""Flower by reference: strategies and client apps over a real gateway, with no model in any message."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.exception import InconsistentMessageReplies
from flwr.serverapp.strategy import FedAdam, FedAvg, FedProx, Strategy

from flstore_core.client import FLStore
from flstore_core.errors import Forbidden, InvalidParameters, NotEnoughData, Unavailable
from flstore_core.integrations.flower import attach, by_reference
from flstore_core.integrations.flower.participating import KEY, REFERENCE, TEXT
from flstore_core.integrations.recorder import Limits
from flstore_core.integrations.reference import ByReference, Delivery, coordinator
from flstore_core.retry import Retry
from tests.integrations.door import PATIENT, Door
from tests.integrations.flowers import Client, FakeGrid, context, initial, learner

QUIET: dict[str, Any] = {"fraction_evaluate": 0.0}
Lie = Callable[[RecordDict], RecordDict | Error]


def referring(client: Client, url: str, lie: Lie = lambda content: content) -> Client:
    """Return a client whose app stands behind the mod, and which may lie of what it has stored."""

    def answer(message: Message) -> RecordDict | Error:
        def app(asked: Message, _: Any) -> Message:
            return Message(client(asked), reply_to=asked)

        reply = by_reference(message, context(**{"flstore-url": url}), app)
        return reply.error if reply.has_error() else lie(reply.content)

    return answer


class Wire(FakeGrid):
    """A grid that counts the bytes of arrays in its messages."""

    nbytes = 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = list(messages)
        self.nbytes += sum(_nbytes(message) for message in pushed)
        return super().push_messages(pushed)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        pulled = list(super().pull_messages(message_ids))
        self.nbytes += sum(_nbytes(message) for message in pulled)
        return pulled


def _nbytes(message: Message) -> int:
    records = message.content.array_records.values() if message.has_content() else ()
    return sum(record.count_bytes() for record in records)


def wire(behind: Door, clients: int = 5, lies: dict[int, Lie] | None = None) -> Wire:
    return Wire({
        100 + number: referring(learner(number), behind.url, (lies or {}).get(number, lambda content: content))
        for number in range(clients)
    })  # fmt: skip


def train(behind: Door, strategy: Strategy, grid: FakeGrid, rounds: int = 2, **arguments: Any) -> Any:
    transport = arguments.pop("transport", ByReference(patience_s=30.0))
    evaluate = arguments.pop("evaluate_fn", None)
    limits = arguments.pop("limits", PATIENT)
    attached = attach(strategy, behind.store, job="j", limits=limits, transport=transport, **arguments)
    config = {"train_config": ConfigRecord({"lr": 0.1}), "evaluate_fn": evaluate}
    return attached.start(grid=grid, initial_arrays=initial(), num_rounds=rounds, **config)


def aggregate(store: FLStore, number: int) -> Any:
    return store.get_aggregate("j", number)["w"]


@pytest.fixture(autouse=True)
def no_other_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLSTORE_URL", raising=False)


def test_messages_have_no_model_and_the_training_is_the_one_by_value(behind: Door) -> None:
    grid, by_value = wire(behind), FakeGrid({100 + number: learner(number) for number in range(5)})
    result = train(behind, FedAvg(**QUIET), grid)
    assert grid.nbytes == 0
    expected = FedAvg(**QUIET).start(grid=by_value, initial_arrays=initial(), num_rounds=2)
    np.testing.assert_allclose(result.arrays["w"].numpy(), expected.arrays["w"].numpy(), rtol=1e-5)
    losses = [metrics["train_loss"] for metrics in result.train_metrics_clientapp.values()]
    assert losses == pytest.approx([m["train_loss"] for m in expected.train_metrics_clientapp.values()], rel=1e-5)
    store = behind.store
    assert [info.clients for info in store.rounds("j")] == [0, 5, 5]
    assert store.run("j", "provenance", last=2, verify=True).result.verified
    member = store.round("j", 2).members[0]
    assert (member.client, member.num_examples, member.metrics["train_loss"] > 0) == ("100", 10, True)


def test_models_are_not_fetched_before_somebody_reads_them(behind: Door) -> None:
    grid, fetched = wire(behind), []

    def count(_: int, arrays: ArrayRecord) -> None:
        assert list(arrays) == ["w", "steps"]
        fetched.append([path for method, path in behind.seen if method == "GET" and path.endswith("/aggregate")])

    result = train(behind, FedAvg(**QUIET), grid, evaluate_fn=count)
    assert len(fetched[-1]) <= 2  # by the clients' one process, once for each round
    assert result.arrays["steps"].numpy() == 2


def test_the_servers_own_evaluation_reads_the_model(behind: Door) -> None:
    means = []

    def evaluate(_: int, arrays: ArrayRecord) -> MetricRecord:
        means.append(float(arrays["w"].numpy().mean()))
        return MetricRecord({"mean": means[-1]})

    train(behind, FedAvg(**QUIET), wire(behind), evaluate_fn=evaluate)
    assert means[0] == 0.0
    assert means[1:] == pytest.approx([float(aggregate(behind.store, number).mean()) for number in (1, 2)])
    assert behind.store.round("j", 2).metrics["mean"] == pytest.approx(means[2])


def test_clients_evaluate_the_model_by_reference(behind: Door) -> None:
    grid = wire(behind)
    train(behind, FedAvg(), grid)
    assert grid.nbytes == 0
    assert behind.store.round("j", 2).metrics["eval_acc"] == pytest.approx(0.5)


def test_a_strategy_whose_server_takes_steps_of_its_own_goes_on(behind: Door) -> None:
    strategy, plain = FedAdam(eta=0.5, **QUIET), FedAdam(eta=0.5, **QUIET)
    result = train(behind, strategy, wire(behind))
    expected = plain.start(
        grid=FakeGrid({100 + number: learner(number) for number in range(5)}),
        initial_arrays=initial(), num_rounds=2,
    )  # fmt: skip
    np.testing.assert_allclose(result.arrays["w"].numpy(), expected.arrays["w"].numpy(), rtol=1e-4)
    np.testing.assert_allclose(aggregate(behind.store, 2), expected.arrays["w"].numpy(), rtol=1e-4)


def test_fedprox_goes_by_reference_as_it_is(behind: Door) -> None:
    grid = wire(behind)
    train(behind, FedProx(proximal_mu=0.1, **QUIET), grid)
    assert grid.nbytes == 0
    assert behind.store.round("j", 1).hyperparameters["proximal-mu"] == 0.1


class Choosy(FedAvg):
    """Leaves out whoever has the greatest model, which it reads itself."""

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
        messages = sorted(replies, key=lambda each: float(each.content.array_records["arrays"]["w"].numpy().mean()))
        return super().aggregate_train(server_round, messages[:-1])


def test_a_strategy_may_read_updates_and_leave_some_out(behind: Door) -> None:
    train(behind, Choosy(**QUIET), wire(behind), rounds=1)
    record = behind.store.round("j", 1)
    means = {str(m.client): float(behind.store.get_update("j", 1, m.client)["w"].mean()) for m in record.members}
    (generation,) = behind.store.run("j", "provenance", verify=True).result.generations
    left_out = [row.client for row in generation.updates if row.weight == 0.0]
    assert generation.verified
    assert left_out == [max(means, key=means.__getitem__)]


@pytest.mark.parametrize(("advice", "factor"), [("exclude", 0.0), ("weigh", 0.5)])
def test_advice_is_followed_by_reference(behind: Door, advice: Any, factor: float) -> None:
    def adviser(*_: Any) -> dict[str, float]:
        return {"100": factor}

    train(behind, FedAvg(**QUIET), wire(behind), rounds=1, advice=advice, advisers=[adviser])
    (generation,) = behind.store.run("j", "provenance", verify=True).result.generations
    weights = {row.client: row.weight for row in generation.updates}
    assert generation.verified
    assert weights["100"] == pytest.approx(factor * 10 / (factor * 10 + 11 + 12 + 13 + 14))


def test_flstore_makes_the_aggregate_by_another_method(behind: Door) -> None:
    transport = ByReference(method="median", patience_s=30.0)
    train(behind, FedAvg(**QUIET), wire(behind), rounds=1, transport=transport)
    members = behind.store.round("j", 1).members
    rows = [behind.store.get_update("j", 1, member.client)["w"] for member in members]
    np.testing.assert_allclose(aggregate(behind.store, 1), np.median(rows, axis=0), rtol=1e-6)
    assert behind.store.run("j", "provenance", verify=True).result.verified


# Clients that do not do as they should


def rewritten(**fields: Any) -> Lie:
    def lie(content: RecordDict) -> RecordDict:
        told = vars(Delivery.from_text(content.config_records[REFERENCE][TEXT]))
        text = Delivery(**{**told, **fields}).to_text()
        content[REFERENCE] = ConfigRecord({TEXT: text, KEY: content.config_records[REFERENCE][KEY]})
        return content

    return lie


def heavier(content: RecordDict) -> RecordDict:
    content["metrics"] = MetricRecord({**content.metric_records["metrics"], "num-examples": 9000})
    return content


def garbled(content: RecordDict) -> RecordDict:
    content[REFERENCE] = ConfigRecord({TEXT: "nothing", KEY: "arrays"})
    return content


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (rewritten(sha256="9f" * 32), "says that its update has the SHA-256"),
        (rewritten(client="101"), "not its own"),
        (heavier, "says that it weighs 9000"),
        (garbled, "delivery cannot be read"),
        (lambda content: Error(2, "it crashed"), "it crashed"),
    ],
)
def test_a_client_whose_word_does_not_hold_is_left_out_and_told_of(behind: Door, lie: Lie, why: str) -> None:
    train(behind, FedAvg(**QUIET), wire(behind, lies={0: lie}), rounds=1)
    failures = behind.store.round("j", 1).metrics["failures"]
    assert list(failures) == ["100"]
    assert why in failures["100"]
    (generation,) = behind.store.run("j", "provenance", verify=True).result.generations
    assert generation.verified
    assert {row.client: row.weight for row in generation.updates}["100"] == 0.0


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"w": np.full((4, 8), np.nan, np.float32), "steps": np.array(1)}, "has a NaN"),
        ({"w": np.zeros((2, 2), np.float32), "steps": np.array(1)}, "the update was not stored"),
    ],
)
def test_a_model_that_cannot_be_stored_is_a_failure_of_its_client(behind: Door, arrays: Any, why: str) -> None:
    def spoilt(message: Message) -> RecordDict:
        metrics = MetricRecord({"num-examples": 10, "train_loss": 1.0})
        return RecordDict({"arrays": ArrayRecord([*arrays.values()]), "metrics": metrics})

    def named(message: Message) -> RecordDict:
        content = spoilt(message)
        content["arrays"] = ArrayRecord(dict(zip(arrays, content.array_records["arrays"].values(), strict=True)))
        return content

    grid = wire(behind)
    grid._clients[100] = referring(named, behind.url)
    train(behind, FedAvg(**QUIET), grid, rounds=1)
    record = behind.store.round("j", 1)
    assert why in record.metrics["failures"]["100"]
    assert len(record.members) == 4


def test_a_client_is_not_sent_where_its_operator_does_not_allow(behind: Door) -> None:
    grid = wire(behind)
    grid._clients[100] = referring(learner(0), "http://flstore.hospital:8080")
    train(behind, FedAvg(**QUIET), grid, rounds=1)
    why = behind.store.round("j", 1).metrics["failures"]["100"]
    assert "may be sent to http://flstore.hospital:8080" in why


def test_a_client_without_the_mod_gets_no_model(behind: Door) -> None:
    grid = wire(behind)
    seen: list[Message] = []

    def bare(message: Message) -> Error:
        seen.append(message)
        return Error(2, "no arrays")

    grid._clients[100] = bare
    train(behind, FedAvg(**QUIET), grid, rounds=1)
    assert len(seen[0].content.array_records["arrays"]) == 0
    assert len(str(seen[0].content.config_records[REFERENCE][TEXT])) < 1200


def test_a_message_by_value_passes_the_mod_as_it_is(behind: Door) -> None:
    grid = wire(behind)
    result = attach(FedAvg(**QUIET), behind.store, job="j", limits=PATIENT).start(
        grid=grid, initial_arrays=initial(), num_rounds=1
    )
    assert grid.nbytes > 0
    np.testing.assert_allclose(result.arrays["w"].numpy(), aggregate(behind.store, 1), rtol=1e-6)


# A store that is away


def test_a_training_stops_with_one_line_where_it_cannot_go_on(behind: Door) -> None:
    grid = wire(behind)
    behind.shut()
    transport = ByReference(patience_s=0.05)
    strategy = attach(FedAvg(**QUIET), behind.store, job="j", limits=Limits(0.01, 0.01), transport=transport)
    with pytest.raises(Unavailable, match="round 1 cannot go on by reference"):
        strategy.start(grid=grid, initial_arrays=initial(), num_rounds=1)


def test_a_round_goes_by_value_while_the_store_is_away(behind: Door, caplog: pytest.LogCaptureFixture) -> None:
    grid = wire(behind)
    behind.shut()
    strategy = attach(
        FedAvg(**QUIET), behind.store, job="j", limits=Limits(0.01, 0.01),
        transport=ByReference(away="value", patience_s=0.05),
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "flstore.flower"):
        result = strategy.start(grid=grid, initial_arrays=initial(), num_rounds=1)
    assert "this round goes by value" in caplog.text
    assert result.arrays["w"].numpy().mean() > 0
    assert grid.nbytes > 0


def test_a_client_that_cannot_store_its_update_sends_it_and_it_counts(behind: Door) -> None:
    behind.shut(applies=lambda request: request.method == "PUT" and request.url.path.endswith("/clients/100"))
    grid = wire(behind)
    opened = behind.open
    grid.at_pull = opened
    train(behind, FedAvg(**QUIET), grid, rounds=1, transport=ByReference(away="value", patience_s=30.0))
    assert 0 < grid.nbytes < 2000
    record = behind.store.round("j", 1)
    assert len(record.members) == 5
    (generation,) = behind.store.run("j", "provenance", verify=True).result.generations
    assert generation.verified
    assert all(row.weight > 0 for row in generation.updates)


def test_a_client_that_cannot_store_its_update_fails_where_nothing_goes_by_value(behind: Door) -> None:
    behind.shut(applies=lambda request: request.method == "PUT" and request.url.path.endswith("/clients/100"))
    train(behind, FedAvg(**QUIET), wire(behind), rounds=1)
    record = behind.store.round("j", 1)
    assert "the update was not stored: the door says" in record.metrics["failures"]["100"]
    assert len(record.members) == 4


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have calls of the store made once."""
    monkeypatch.setattr(coordinator, "Retry", partial(Retry, attempts=1))


def shut_for(behind: Door, *requests: tuple[str, str]) -> None:
    behind.shut(applies=lambda request: any(
        request.method == method and request.url.path.endswith(path) for method, path in requests
    ))  # fmt: skip


ENDING = replace(PATIENT, linger_s=5.0)
"""For a store that cannot close a round any more, however long the end of the training waits."""
MADE, LISTED, MINE = ("POST", "/rounds/1/aggregate"), ("GET", "/rounds/1"), ("PUT", "/clients/100")


@pytest.mark.parametrize("lost", [MADE, LISTED])
def test_a_training_stops_where_the_store_goes_away_in_a_round(
    behind: Door, impatient: None, lost: tuple[str, str]
) -> None:
    shut_for(behind, lost)
    with pytest.raises(Unavailable, match="round 1 cannot go on by reference"):
        train(behind, FedAvg(**QUIET), wire(behind), advice=None, limits=ENDING)


@pytest.mark.parametrize("lost", [MADE, LISTED])
def test_a_round_whose_updates_are_out_of_reach_is_averaged_of_what_came_by_value(
    behind: Door, impatient: None, lost: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    shut_for(behind, lost, MINE)
    grid = wire(behind)
    grid.at_pull = lambda: shut_for(behind, lost)
    transport = ByReference(away="value", patience_s=30.0)
    result = train(behind, FedAvg(**QUIET), grid, rounds=1, advice=None, transport=transport, limits=ENDING)
    np.testing.assert_array_equal(result.arrays["w"].numpy(), behind.store.get_update("j", 1, "100")["w"])
    assert "goes on without" in caplog.text


def test_a_round_of_which_nothing_is_in_reach_keeps_the_model(behind: Door, impatient: None) -> None:
    shut_for(behind, MADE)
    transport = ByReference(away="value", patience_s=30.0)
    result = train(behind, FedAvg(**QUIET), wire(behind), rounds=2, advice=None, transport=transport)
    record = behind.store.round("j", 1)
    assert (record.aggregate, len(record.members)) == (None, 5)
    assert behind.store.round("j", 2).base == 0
    np.testing.assert_allclose(result.arrays["w"].numpy(), aggregate(behind.store, 2), rtol=1e-6)


def test_what_the_method_cannot_make_ends_the_training(behind: Door) -> None:
    transport = ByReference(method="krum", params={"byzantine": 9}, away="value", patience_s=30.0)
    with pytest.raises(NotEnoughData, match="krum"):
        train(behind, FedAvg(**QUIET), wire(behind), advice=None, transport=transport)


def test_a_server_without_a_copy_of_the_newest_model_says_so(
    behind: Door, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    class Forgetful(FedAvg):
        def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
            behind.shut(403, "forbidden", lambda request: request.method == "GET")
            return super().aggregate_train(server_round, replies)

    with pytest.raises(Forbidden):
        train(
            behind, Forgetful(**QUIET), wire(behind), rounds=1, advice=None,
            transport=ByReference(away="value", patience_s=30.0),
        )  # fmt: skip
    assert "no copy of the newest model: the door says forbidden" in caplog.text


def test_a_message_with_several_records_of_arrays_cannot_go_by_reference(behind: Door) -> None:
    class Several(FedAvg):
        def configure_train(self, *args: Any) -> Iterable[Message]:
            for message in super().configure_train(*args):
                message.content["more"] = initial()
                yield message

    with pytest.raises(InvalidParameters, match="has 2 records of arrays"):
        train(behind, Several(**QUIET), wire(behind))


def test_a_reply_without_arrays_is_flowers_to_judge(behind: Door) -> None:
    grid = wire(behind)
    bare = MetricRecord({"num-examples": 1, "train_loss": 1.0})
    grid._clients[100] = referring(lambda _: RecordDict({"metrics": bare}), behind.url)
    with pytest.raises(InconsistentMessageReplies, match="exactly one ArrayRecord"):
        train(behind, FedAvg(**QUIET), grid)


# What cannot go by reference


@pytest.mark.parametrize(
    ("strategy", "arguments", "why"),
    [
        (LegacyFedAvg(), {}, "older strategies"),
        (FedAvg(), {"transport": "pigeon"}, "pigeon"),
        (FedAvg(), {"transport": ByReference(method="krum"), "advice": "weigh"}, "weighs"),
    ],
)
def test_what_cannot_go_by_reference_is_refused_at_once(
    behind: Door, strategy: Any, arguments: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidParameters, match=why):
        attach(strategy, behind.store, **{"transport": "reference", **arguments})


def test_a_strategy_that_does_not_stand_on_fedavg_is_refused(behind: Door) -> None:
    class Own(Strategy):
        configure_train = configure_evaluate = aggregate_train = aggregate_evaluate = None  # type: ignore[assignment]

        def summary(self) -> None: ...

    with pytest.raises(InvalidParameters, match="Own does not stand on FedAvg"):
        attach(Own(), behind.store, transport="reference")
