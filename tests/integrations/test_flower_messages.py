"""Strategies of Flower's message API, attached to FLStore: the grid is a fake, the strategies are Flower's own."""

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import DifferentialPrivacyServerSideFixedClipping, FedAvg, FedMedian

from flstore_core.errors import InvalidParameters, Unavailable
from flstore_core.integrations.flower import attach, client_names
from flstore_core.integrations.flower.models import array_of, model_of
from flstore_core.integrations.recorder import Limits
from tests.integrations.door import PATIENT, Door
from tests.integrations.flowers import FakeGrid, context, grid_of, initial, learner, record
from tests.waiting import eventually

QUIET: dict[str, Any] = {"limits": PATIENT}


def accuracy(arrays: ArrayRecord) -> float:
    """Return how near a model is to what honest clients learn."""
    return 1.0 - float(np.abs(1.0 - arrays["w"].numpy()).mean())


def test_a_training_is_recorded_whole(behind: Door) -> None:
    strategy = attach(FedAvg(), behind.store, job="flowers", **QUIET)
    result = strategy.start(grid_of(6), initial(), num_rounds=3, train_config=ConfigRecord({"lr": 0.1, "blob": b"x"}))
    rounds = behind.store.rounds("flowers")
    assert [(info.round, info.committed, info.clients) for info in rounds] == [
        (0, True, 0), (1, True, 6), (2, True, 6), (3, True, 6)
    ]  # fmt: skip
    last = behind.store.round("flowers", 3)
    assert last.base == 2
    assert [str(member.client) for member in last.members] == [f"c{number}" for number in range(6)]
    assert last.by_client["c2"].metrics["num_examples"] == 12  # type: ignore[index]
    assert last.metrics["train_loss"] == pytest.approx(result.train_metrics_clientapp[3]["train_loss"])
    assert last.metrics["eval_acc"] == pytest.approx(0.5)
    assert {name: value for name, value in last.hyperparameters.items() if name != "run"} == {
        "lr": 0.1, "server-round": 3
    }  # fmt: skip
    aggregate = behind.store.get_aggregate("flowers", 3)
    assert np.array_equal(aggregate["w"], result.arrays["w"].numpy())
    assert aggregate["steps"].dtype == np.int64  # Flower's average has made a float of it
    assert int(aggregate["steps"]) == 3
    assert result.arrays["steps"].dtype == "float64"


def test_the_strategys_own_result_is_the_one_without_flstore(behind: Door) -> None:
    def train(strategy: FedAvg) -> Any:
        grid = FakeGrid({number: learner(number) for number in range(5)})
        return strategy.start(grid, initial(), num_rounds=2).arrays["w"].numpy()

    assert np.allclose(train(attach(FedAvg(), behind.store, **QUIET)), train(FedAvg()), rtol=1e-6)


def test_updates_are_stored_while_other_clients_still_train(behind: Door) -> None:
    grid, pulls = grid_of(4), []

    def wait_for_the_first() -> None:
        pulls.append(1)
        if len(pulls) == 2:  # one reply has been pulled, three have not
            eventually(lambda: any("/clients/" in path for _, path in behind.seen))

    grid.at_pull = wait_for_the_first
    attach(FedAvg(fraction_evaluate=0.0), behind.store, **QUIET).start(grid, initial(), num_rounds=1)
    assert len(pulls) == 4


def test_with_attackers_excluded_the_model_is_as_good_as_without_them(behind: Door) -> None:
    def final(advice: Any, attackers: int) -> float:
        strategy = attach(FedAvg(fraction_evaluate=0.0), behind.store, advice=advice, **QUIET)
        return accuracy(strategy.start(grid_of(10, attackers), initial(), num_rounds=6).arrays)

    clean, attacked, advised = final("exclude", 0), final(None, 3), final("exclude", 3)
    assert attacked < clean - 0.1
    assert advised > clean - 0.02
    assert [behind.store.round("flower", n).metrics["advice"]["advised"] for n in range(1, 7)] == [{}] * 6
    kept = behind.store.round("flower-3", 6).metrics["advice"]
    assert kept["applied"] == {"c0": 0.0, "c1": 0.0, "c2": 0.0}


def test_weights_are_multiplied_where_that_is_asked_for(behind: Door) -> None:
    strategy = attach(
        FedAvg(), behind.store, advice="weigh", advisers=[lambda store, job, round_: {"a": 0.25, "b": 0.5}], **QUIET
    )

    def client(value: float) -> Any:
        def answer(message: Message) -> RecordDict:
            metrics = MetricRecord({"num-examples": 4, "train_loss": value})
            content = RecordDict({"arrays": record({"w": np.full((4, 8), value, np.float32), "steps": np.array(1)})})
            content["metrics"] = metrics
            content["flstore"] = ConfigRecord({"flstore-client": "ab"[int(value)]})
            return content

        return answer

    result = strategy.start(FakeGrid({1: client(0.0), 2: client(1.0)}), initial(), num_rounds=1)
    assert result.arrays["w"].numpy()[0, 0] == pytest.approx(2 / 3)  # (0.25 × 0 + 0.5 × 1) / 0.75
    assert behind.store.round("flower", 1).by_client["a"].metrics["num_examples"] == 4  # type: ignore[index]


def test_a_start_of_the_users_own_keeps_working(behind: Door) -> None:
    class Custom(FedAvg):
        def start(self, grid: Any, initial_arrays: ArrayRecord, rounds: int) -> float:  # type: ignore[override]
            arrays = initial_arrays
            for number in range(1, rounds + 1):
                replies = grid.send_and_receive(self.configure_train(number, arrays, ConfigRecord(), grid))
                arrays = self.aggregate_train(number, replies)[0] or arrays
            return accuracy(arrays)

    assert attach(Custom(), behind.store, **QUIET).start(grid_of(5), initial(), 3) > 0.5
    assert [info.committed for info in behind.store.rounds("flower")] == [True] * 4


def test_a_loop_that_calls_the_methods_itself_is_recorded(behind: Door) -> None:
    grid, arrays = grid_of(5), initial()
    strategy = attach(FedAvg(), behind.store, **QUIET)
    for number in (1, 2):
        replies = grid.send_and_receive(strategy.configure_train(number, arrays, ConfigRecord(), grid))
        aggregated, _ = strategy.aggregate_train(number, replies)
        assert aggregated is not None
        arrays = aggregated
    vars(strategy)["flstore"]._training.finish()
    assert [info.clients for info in behind.store.rounds("flower")] == [0, 5, 5]


def test_the_servers_own_evaluation_is_recorded(behind: Door) -> None:
    strategy = attach(FedAvg(), behind.store, **QUIET)
    strategy.start(
        grid_of(3),
        initial(),
        num_rounds=2,
        evaluate_fn=lambda number, arrays: MetricRecord({"eval_acc": float(number), "central": accuracy(arrays)}),
    )
    metrics = behind.store.round("flower", 2).metrics
    assert (metrics["eval_acc"], metrics["evaluate_eval_acc"]) == (pytest.approx(0.5), 2.0)
    assert metrics["central"] > 0.3


def test_clients_are_chosen_by_a_workload(behind: Door) -> None:
    grid = grid_of(6)
    strategy = attach(
        FedAvg(fraction_train=0.5, fraction_evaluate=0.0), behind.store, schedule="schedule-clusters", **QUIET
    )
    strategy.start(grid, initial(), num_rounds=3)
    trained = [nodes for nodes in grid.pushed if nodes]
    assert [len(set(nodes)) for nodes in trained] == [3, 3, 3]
    assert set(trained[1]) == set(trained[0])  # nobody else is known yet


def test_an_error_in_a_reply_is_noted_with_the_round(behind: Door) -> None:
    clients: dict[int, Any] = {number: learner(number, name=f"c{number}") for number in range(4)}
    clients[99] = lambda message: Error(code=0, reason="out of memory")
    attach(FedAvg(), behind.store, **QUIET).start(FakeGrid(clients), initial(), num_rounds=1)
    stored = behind.store.round("flower", 1)
    assert stored.metrics["failures"] == {"99": "out of memory"}
    assert len(stored.members) == 4


def test_a_round_whose_aggregation_fails_is_closed_without_an_aggregate(behind: Door) -> None:
    def without_metrics(message: Message) -> RecordDict:
        return RecordDict({"arrays": record({"w": np.ones((4, 8), np.float32), "steps": np.array(1)})})

    strategy = attach(FedAvg(), behind.store, **QUIET)
    with pytest.raises(Exception, match="MetricRecord"):
        strategy.start(FakeGrid({1: without_metrics, 2: without_metrics}), initial(), num_rounds=1)
    stored = behind.store.round("flower", 1)
    assert stored.committed
    assert stored.aggregate is None
    assert len(stored.members) == 2


def test_a_round_in_which_nobody_answers_leaves_the_model_as_it_was(behind: Door) -> None:
    failing = {number: (lambda message: Error(code=0, reason="gone")) for number in range(3)}
    attach(FedAvg(), behind.store, **QUIET).start(FakeGrid(failing), initial(), num_rounds=1)
    assert behind.store.round("flower", 1).members == ()


def test_a_client_that_sends_no_numbers_is_left_out_of_the_average(behind: Door) -> None:
    clients: dict[int, Any] = {number: learner(number, name=f"c{number}") for number in range(5)}
    clients[5] = lambda message: RecordDict({
        "arrays": record({"w": np.full((4, 8), np.nan, np.float32), "steps": np.array(1)}),
        "metrics": MetricRecord({"num-examples": 10, "train_loss": float("nan")}),
    })  # fmt: skip
    strategy = attach(FedAvg(fraction_evaluate=0.0), behind.store, advice="exclude", **QUIET)
    result = strategy.start(FakeGrid(clients), initial(), num_rounds=2)
    assert np.isfinite(result.arrays["w"].numpy()).all()
    assert behind.store.round("flower", 2).metrics["advice"]["applied"] == {"5": 0.0}


def test_two_clients_of_one_name_are_told_apart(behind: Door) -> None:
    clients = {number: learner(number, name="same") for number in (3, 4)}
    attach(FedAvg(), behind.store, **QUIET).start(FakeGrid(clients), initial(), num_rounds=1)
    first, second = sorted(str(member.client) for member in behind.store.round("flower", 1).members)
    assert first == "same"
    assert second in ("same@3", "same@4")


def test_one_node_that_sends_two_updates_has_both_recorded(behind: Door) -> None:
    class Twice(FedAvg):
        def configure_train(self, *args: Any, **kwargs: Any) -> Iterable[Message]:
            messages = list(super().configure_train(*args, **kwargs))
            again = [Message(each.content, each.metadata.dst_node_id, "train") for each in messages]
            return [*messages, *again]

    attach(Twice(), behind.store, **QUIET).start(FakeGrid({3: learner(3), 4: learner(4)}), initial(), num_rounds=1)
    assert {str(member.client) for member in behind.store.round("flower", 1).members} == {"3", "3@3", "4", "4@4"}


def test_masked_updates_are_noted_and_not_stored(behind: Door) -> None:
    def masked(message: Message) -> RecordDict:
        return RecordDict({
            "secaggplus_configs": ConfigRecord({"masked_params": [b"noise"]}),
            "metrics": MetricRecord({"num-examples": 10}),
        })  # fmt: skip

    class Summing(FedAvg):
        def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
            return record({"w": np.full((4, 8), len(list(replies)), np.float32), "steps": np.array(1)}), None

    strategy = attach(Summing(fraction_evaluate=0.0), behind.store, advice="exclude", **QUIET)
    strategy.start(FakeGrid({1: masked, 2: masked}), initial(), num_rounds=1)
    stored = behind.store.round("flower", 1)
    assert stored.members == ()
    assert stored.metrics["secure_aggregation"] is True
    assert stored.metrics["clients"] == {"1": {"num-examples": 10}, "2": {"num-examples": 10}}
    assert behind.store.get_aggregate("flower", 1)["w"][0, 0] == 2.0


def test_a_strategy_around_another_is_attached_as_a_whole(behind: Door) -> None:
    inner = FedMedian(weighted_by_key="train_loss", fraction_evaluate=0.0)
    wrapped = DifferentialPrivacyServerSideFixedClipping(inner, 0.0, 10.0, 5)
    attach(wrapped, behind.store, **QUIET).start(grid_of(5), initial(), num_rounds=1)
    stored = behind.store.round("flower", 1)
    assert len(stored.members) == 5
    assert behind.store.job("flower").weight_key == "train_loss"
    assert stored.members[0].metrics["train_loss"] == pytest.approx(1.0)
    assert stored.members[0].weight == pytest.approx(1.0)
    assert stored.members[0].metrics["num-examples"] == 10


def test_a_second_training_of_one_strategy_is_a_job_of_its_own(behind: Door) -> None:
    strategy = attach(FedAvg(), behind.store, **QUIET)
    for _ in range(2):
        strategy.start(grid_of(3), initial(), num_rounds=1)
    assert sorted(info.job for info in behind.store.jobs()) == ["flower", "flower-2"]


def test_a_training_is_resumed_from_the_model_that_it_ended_with(behind: Door) -> None:
    first = attach(FedAvg(), behind.store, **QUIET).start(grid_of(4), initial(), num_rounds=2)
    attach(FedAvg(), behind.store, resume=True, **QUIET).start(grid_of(4), first.arrays, num_rounds=2)
    assert [info.clients for info in behind.store.rounds("flower")] == [0, 4, 4, 4, 4]


def test_training_goes_on_without_a_store(behind: Door) -> None:
    behind.shut()
    strategy = attach(FedAvg(), behind.store, advice="exclude", limits=Limits(deadline_s=0.05, linger_s=0.05))
    assert accuracy(strategy.start(grid_of(4), initial(), num_rounds=3).arrays) > 0.5


def test_training_stops_without_a_store_if_it_is_required(behind: Door) -> None:
    behind.shut(401, "unauthorized")
    strategy = attach(FedAvg(), behind.store, required=True, **QUIET)
    with pytest.raises(Unavailable, match="recording is required"):
        strategy.start(grid_of(4), initial(), num_rounds=3)


def test_what_is_no_strategy_is_refused(behind: Door) -> None:
    with pytest.raises(InvalidParameters, match="is no strategy of Flower"):
        attach(FedAvg, behind.store)  # type: ignore[type-var]
    strategy = attach(FedAvg(), behind.url)
    with pytest.raises(InvalidParameters, match="attached to FLStore already"):
        attach(strategy, behind.url)
    with pytest.raises(ValueError, match="follow"):
        attach(FedAvg(), behind.url, advice="follow")  # type: ignore[arg-type]


# Models and names


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_a_view_of_its_bytes(order: Any) -> None:
    original = np.asarray(np.arange(6, dtype=np.float32).reshape(2, 3), order=order)
    array = Array(original)
    view = array_of(array)
    assert np.array_equal(view, original)
    assert np.shares_memory(view, np.frombuffer(array.data, np.uint8))


def test_bfloat16_is_widened() -> None:
    bits = (np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    array = Array(bits.view("V2"))
    array.dtype = "bfloat16"
    assert array_of(array).tolist() == [1.5, -2.0]


def test_what_cannot_be_read_is_refused_with_a_word() -> None:
    with pytest.raises(TypeError, match="kept as 'torch'"):
        array_of(Array("float32", (1,), "torch", b""))
    with pytest.raises(TypeError, match="objects"):
        array_of(Array("object", (1,), "numpy.ndarray", _pickled()))


def _pickled() -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    return b"\x93NUMPY\x01\x00" + file.getvalue()[8:]


def test_several_records_are_one_model() -> None:
    records = {"a": record({"w": np.zeros(2)}), "b": record({"w": np.ones(2)})}
    assert list(model_of(records)) == ["a/w", "b/w"]


@pytest.mark.parametrize(
    ("node_config", "said"),
    [({"partition-id": 3}, "3"), ({"partition-id": 3, "client-name": "Hospital A"}, "Hospital A"), ({}, None)],
)
def test_a_client_says_its_name_in_each_reply(node_config: dict[str, Any], said: str | None) -> None:
    message = Message(RecordDict(), 1, "train")
    reply = client_names(message, context(**node_config), lambda message, context: Message(RecordDict(), 1, "train"))
    records = reply.content.config_records
    assert (records["flstore"]["flstore-client"] if "flstore" in records else None) == said
