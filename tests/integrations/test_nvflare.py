"""NVFlare's own workflows with FLStore's components: the clients are fakes, everything else is NVFlare's."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from nvflare.apis.dxo import DataKind
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.aggregators.intime_accumulate_model_aggregator import InTimeAccumulateWeightedAggregator
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather

from flstore_core.integrations.nvflare import FLStoreAggregator, FLStoreObserver
from flstore_core.integrations.nvflare.chapters import Chapters
from flstore_core.integrations.nvflare.models import model_in, update_of
from flstore_core.integrations.recorder import Limits
from tests.integrations.door import PATIENT, Door
from tests.integrations.nvflares import Client, MemoryPersistor, Server, clients_of, initial, learner
from tests.waiting import eventually

QUIET: dict[str, Any] = {"limits": PATIENT}


def accuracy(model: Mapping[str, Any]) -> float:
    """Return how near a model is to what honest clients learn."""
    return 1.0 - float(np.abs(1.0 - model["w"]).mean())


def fedavg(
    clients: Mapping[str, Client],
    aggregator: ModelAggregator | None,
    rounds: int = 2,
    observer: FLStoreObserver | None = None,
    model: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> tuple[dict[str, Any], Server]:
    """Train by NVFlare's FedAvg, and return the model and the server."""
    persistor = MemoryPersistor(model or initial())
    components = {"persistor": persistor, "aggregator": aggregator, "observer": observer}
    server = Server(clients, {name: each for name, each in components.items() if each is not None})
    server.run(
        FedAvg(
            num_clients=arguments.pop("num_clients", len(clients)),
            num_rounds=rounds,
            aggregator=aggregator,
            persistor_id="persistor",
            **arguments,
        )
    )
    return persistor.model, server


def scatter_and_gather(
    clients: Mapping[str, Client], aggregator: Any, rounds: int = 2, observer: FLStoreObserver | None = None
) -> tuple[dict[str, Any], Server]:
    """Train by NVFlare's older workflow, and return the model and the server."""
    persistor = MemoryPersistor(initial())
    components = {"persistor": persistor, "aggregator": aggregator, "generator": FullModelShareableGenerator()}
    server = Server(clients, {**components, **({"observer": observer} if observer else {})})
    server.run(
        ScatterAndGather(
            min_clients=len(clients),
            num_rounds=rounds,
            persistor_id="persistor",
            aggregator_id="aggregator",
            shareable_generator_id="generator",
        )
    )
    return persistor.model, server


def end(aggregator: FLStoreAggregator) -> None:
    """End the run of an aggregator that stands alone."""
    aggregator.handle_event(EventType.END_RUN, FLContext())


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def intime() -> InTimeAccumulateWeightedAggregator:
    return InTimeAccumulateWeightedAggregator(expected_data_kind=DataKind.WEIGHTS)


class Median(ModelAggregator):  # type: ignore[misc]
    """An aggregator as users write them."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[FLModel] = []

    def accept_model(self, model: FLModel) -> None:
        if model.meta["client_name"] == "broken":
            raise RuntimeError("cannot take this one")
        self.taken.append(model)

    def aggregate_model(self) -> FLModel:
        names = self.taken[0].params
        return FLModel(params={name: np.median([each.params[name] for each in self.taken], axis=0) for name in names})

    def reset_stats(self) -> None:
        self.taken = []


def test_a_training_is_recorded_whole(behind: Door) -> None:
    model, _ = fedavg(clients_of(6), FLStoreAggregator(behind.url, "flares", **QUIET), rounds=3)
    assert [(info.round, info.committed, info.clients) for info in behind.store.rounds("flares")] == [
        (0, True, 0), (1, True, 6), (2, True, 6), (3, True, 6)
    ]  # fmt: skip
    assert behind.store.job("flares").updates == "weights"
    assert not behind.store.get_aggregate("flares", 0)["w"].any()
    last = behind.store.round("flares", 3)
    assert last.base == 2
    assert [str(member.client) for member in last.members] == [f"site-{number}" for number in range(1, 7)]
    assert last.by_client["site-2"].metrics["num_examples"] == 12  # type: ignore[index]
    assert last.by_client["site-2"].metrics["loss"] == pytest.approx(last.metrics["loss"])  # type: ignore[index]
    assert last.metrics["advice"]["advised"] == {}
    aggregate = behind.store.get_aggregate("flares", 3)
    assert np.array_equal(aggregate["w"], model["w"].astype(np.float32))
    assert int(aggregate["steps"]) == 3


@pytest.mark.parametrize("advice", ["observe", "exclude"])
@pytest.mark.parametrize("is_delta", [False, True])
@pytest.mark.parametrize(
    "arguments", [{}, {"exclude_vars": "steps"}, {"aggregation_weights": {"site-1": 7.0, "site-3": 0.5}}]
)
def test_the_average_is_the_one_without_flstore(
    behind: Door, advice: Any, is_delta: bool, arguments: dict[str, Any]
) -> None:
    def train(aggregator: ModelAggregator | None) -> dict[str, Any]:
        return fedavg(clients_of(4, is_delta=is_delta), aggregator, 1, **arguments)[0]

    assert same(train(FLStoreAggregator(behind.url, advice=advice, **QUIET)), train(None))


def test_differences_are_recorded_as_such_and_the_aggregate_as_a_model(behind: Door) -> None:
    model, _ = fedavg(clients_of(5, is_delta=True), FLStoreAggregator(behind.url, "deltas", **QUIET), rounds=2)
    assert behind.store.job("deltas").updates == "delta"
    assert np.allclose(behind.store.get_aggregate("deltas", 2)["w"], model["w"])
    assert accuracy(model) > 0.4
    update = behind.store.get_update("deltas", 1, "site-1")
    assert update["w"].mean() == pytest.approx(0.3, abs=0.05)
    answer = behind.store.run("deltas", "provenance", round=2)
    assert answer.result.raw


def test_a_tensor_that_some_did_not_send_is_averaged_over_those_that_did(behind: Door) -> None:
    clients = {"a": learner(1), "b": learner(2), "c": learner(3, steps=None)}
    model, _ = fedavg(clients, FLStoreAggregator(behind.url, **QUIET), rounds=1)
    assert model["steps"] == pytest.approx(1.0)
    stored = behind.store.round("nvflare", 1).by_client["c"]  # type: ignore[index]
    assert stored.metrics["not_sent"] == ["steps"]
    assert int(behind.store.get_update("nvflare", 1, "c")["steps"]) == 0  # as it was sent to the client


def test_a_difference_that_was_not_sent_is_none(behind: Door) -> None:
    clients = {"a": learner(1, is_delta=True), "b": learner(2, is_delta=True, steps=None)}
    fedavg(clients, FLStoreAggregator(behind.url, **QUIET), rounds=2)
    assert int(behind.store.get_update("nvflare", 2, "b")["steps"]) == 0
    assert int(behind.store.get_aggregate("nvflare", 2)["steps"]) == 2


def test_with_attackers_excluded_the_model_is_as_good_as_without_them(behind: Door) -> None:
    def final(advice: Any, attackers: int) -> float:
        aggregator = FLStoreAggregator(behind.url, "attacked", advice=advice, **QUIET)
        return accuracy(fedavg(clients_of(10, attackers), aggregator, rounds=6)[0])

    clean, attacked, advised = final("exclude", 0), final(None, 3), final("exclude", 3)
    assert attacked < clean - 0.1
    assert advised > clean - 0.02
    assert [behind.store.round("attacked", n).metrics["advice"]["advised"] for n in range(1, 7)] == [{}] * 6
    kept = behind.store.round("attacked-3", 6).metrics["advice"]
    assert kept["applied"] == {"site-1": 0.0, "site-2": 0.0, "site-3": 0.0}


def half_and_quarter(store: Any, job: str, round_: Any) -> dict[str, float]:
    """Advise on weights, as a function of a user's module does."""
    return {"a": 0.25, "b": 0.5}


def whole(value: float) -> Client:
    def train(task: FLModel) -> FLModel:
        return FLModel(
            params={"w": np.full((4, 8), value, np.float32), "steps": np.array(1)},
            meta={"NUM_STEPS_CURRENT_ROUND": 4},
        )

    return train


def test_weights_are_multiplied_where_that_is_asked_for(behind: Door) -> None:
    aggregator = FLStoreAggregator(behind.url, advice="weigh", advisers=[half_and_quarter], **QUIET)
    model, _ = fedavg({"a": whole(0.0), "b": whole(1.0)}, aggregator, rounds=1)
    assert model["w"][0, 0] == pytest.approx(2 / 3)  # (0.25 × 0 + 0.5 × 1) / 0.75
    assert behind.store.round("nvflare", 1).by_client["a"].metrics["num_examples"] == 4  # type: ignore[index]


def test_another_aggregator_is_given_what_counts(behind: Door) -> None:
    inner = Median()
    aggregator = FLStoreAggregator(behind.url, aggregator=inner, advice="weigh", advisers=[half_and_quarter], **QUIET)
    clients = {"a": whole(0.0), "b": whole(1.0), "c": whole(1.0), "broken": whole(9.0)}
    model, server = fedavg(clients, aggregator, rounds=1)
    assert model["w"][0, 0] == 1.0
    assert [each.meta["NUM_STEPS_CURRENT_ROUND"] for each in inner.taken] == [1.0, 2.0, 4]
    assert len(behind.store.round("nvflare", 1).members) == 4
    assert "cannot take this one" in behind.store.round("nvflare", 1).metrics["failures"]["broken"]
    assert not server.panics


def test_another_aggregator_is_begun_anew_with_each_round(behind: Door) -> None:
    inner = Median()
    model, _ = fedavg(clients_of(3), FLStoreAggregator(behind.url, aggregator=inner, **QUIET), rounds=3)
    assert len(inner.taken) == 3
    assert accuracy(model) > 0.5


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"w": np.full((4, 8), np.nan, np.float32)}, None),
        ({"w": np.zeros((8, 4), np.float32)}, "its tensor 'w' has the shape (8, 4), and the model's has (4, 8)"),
        ({"w": "text"}, "its parameter 'w' holds no numbers, but str"),
    ],
)
def test_what_cannot_be_averaged_is_left_out(behind: Door, changes: dict[str, Any], why: str | None) -> None:
    clients = {**clients_of(4), "bad": learner(9, **changes)}
    model, server = fedavg(clients, FLStoreAggregator(behind.url, advice="exclude", **QUIET), rounds=2)
    assert np.isfinite(model["w"]).all()
    assert not server.panics
    stored = behind.store.round("nvflare", 2)
    assert [str(member.client) for member in stored.members] == list(clients_of(4))
    assert stored.metrics.get("failures") == (None if why is None else {"bad": why})
    if why is None:
        assert stored.metrics["advice"]["applied"] == {"bad": 0.0}


def test_models_and_differences_are_not_mixed(behind: Door) -> None:
    clients = {"a": learner(1), "b": learner(2, is_delta=True)}
    model, _ = fedavg(clients, FLStoreAggregator(behind.url, **QUIET), rounds=1)
    assert same(model, fedavg({"a": learner(1)}, None, rounds=1)[0])
    assert "others have models" in behind.store.round("nvflare", 1).metrics["failures"]["b"]


def test_a_round_in_which_nobody_counts_leaves_the_model_as_it_was(behind: Door) -> None:
    clients = {"a": learner(1, w="text"), "b": learner(2, w="text")}
    model, server = fedavg(clients, FLStoreAggregator(behind.url, **QUIET), rounds=1)
    assert same(model, initial())
    assert not server.panics


def test_a_client_that_fails_is_not_waited_for(behind: Door) -> None:
    clients: dict[str, Client] = {**clients_of(4), "gone": lambda task: None}
    fedavg(clients, FLStoreAggregator(behind.url, **QUIET), rounds=2, ignore_result_error=True)
    assert [info.clients for info in behind.store.rounds("nvflare")] == [0, 4, 4]


def test_what_lies_on_disk_is_read_once(behind: Door) -> None:
    class Lazy:
        def __init__(self, array: Any) -> None:
            self.array, self.reads = array, 0

        def materialize(self) -> Any:
            self.reads += 1
            return self.array

    lazy = Lazy(np.ones((4, 8), np.float32))
    inner = Median()
    aggregator = FLStoreAggregator(behind.url, aggregator=inner, **QUIET)
    aggregator.accept_model(FLModel(params={"w": lazy}, current_round=0, meta={"client_name": "a"}))
    end(aggregator)
    assert lazy.reads == 1
    assert inner.taken[0].params["w"] is lazy.array


def test_lora_adapters_of_a_lower_rank_are_filled_up(behind: Door) -> None:
    def adapter(rank: int, value: float) -> dict[str, Any]:
        a, b = np.full((rank, 3), value, np.float32), np.full((2, rank), value, np.float32)
        return {"q.lora_A.weight": a, "q.lora_B.weight": b}

    def client(rank: int) -> Client:
        return lambda task: FLModel(params=adapter(rank, 1.0))

    clients = {"low": client(1), "high": client(2), "higher": client(3)}
    model, _ = fedavg(clients, FLStoreAggregator(behind.url, **QUIET), 1, model=adapter(2, 0.0))
    assert model["q.lora_A.weight"].tolist() == [[1.0] * 3, [0.5] * 3]
    assert behind.store.get_update("nvflare", 1, "low")["q.lora_B.weight"].tolist() == [[1.0, 0.0]] * 2
    stored = behind.store.round("nvflare", 1)
    assert [str(member.client) for member in stored.members] == ["high", "low"]
    assert "has the shape (3, 3)" in stored.metrics["failures"]["higher"]


def test_tensors_of_torch_are_averaged_and_recorded(behind: Door) -> None:
    def train(task: FLModel) -> FLModel:
        return FLModel(params={name: tensor + 1 for name, tensor in task.params.items()})

    start = {"w": torch.zeros((4, 8), dtype=torch.bfloat16), "steps": torch.tensor(0)}
    without: Client = lambda task: FLModel(params={"w": train(task).params["w"]})  # noqa: E731
    model, _ = fedavg({"a": train, "b": without}, FLStoreAggregator(behind.url, **QUIET), rounds=1, model=start)
    assert model["w"].dtype == torch.bfloat16
    assert behind.store.get_aggregate("nvflare", 1)["w"][0, 0] == 1.0
    assert int(behind.store.get_update("nvflare", 1, "b")["steps"]) == 0


def test_a_training_from_scratch_has_no_round_of_its_initial_model(behind: Door) -> None:
    clients = {name: whole(1.0) for name in ("a", "b")}
    fedavg(clients, FLStoreAggregator(behind.url, **QUIET), rounds=2, model={"penalty": "l2"})
    assert [(info.round, info.clients) for info in behind.store.rounds("nvflare")] == [(1, 2), (2, 2)]


def test_clients_are_chosen_by_a_workload(behind: Door) -> None:
    aggregator = FLStoreAggregator(behind.url, schedule="schedule-clusters", **QUIET)
    _, server = fedavg(clients_of(6), aggregator, rounds=3, num_clients=3)
    assert [len(set(names)) for names in server.asked] == [3, 3, 3]
    assert set(server.asked[1]) == set(server.asked[0])  # nobody else is known yet


def test_a_workflow_that_takes_all_clients_is_not_asked_to_choose(behind: Door) -> None:
    aggregator = FLStoreAggregator(behind.url, schedule="schedule-clusters", **QUIET)
    model, server = scatter_and_gather(clients_of(3), aggregator)
    assert len(server.asked[1]) == 3
    assert accuracy(model) > 0.4


def test_a_further_workflow_numbers_its_rounds_on(behind: Door) -> None:
    persistor = MemoryPersistor(initial())
    aggregator = FLStoreAggregator(behind.url, **QUIET)
    server = Server(clients_of(3), {"persistor": persistor, "aggregator": aggregator})
    server.run(*(FedAvg(num_clients=3, num_rounds=2, aggregator=aggregator) for _ in range(2)))
    assert [info.clients for info in behind.store.rounds("nvflare")] == [0, 3, 3, 3, 3]


def test_a_training_that_starts_at_a_later_round_is_numbered_from_one(behind: Door) -> None:
    fedavg(clients_of(3), FLStoreAggregator(behind.url, **QUIET), rounds=2, start_round=7)
    assert [(info.round, info.clients) for info in behind.store.rounds("nvflare")] == [(0, 0), (1, 3), (2, 3)]


def test_a_training_is_resumed(behind: Door) -> None:
    model, _ = fedavg(clients_of(3), FLStoreAggregator(behind.url, **QUIET))
    model = {"w": model["w"].astype(np.float32), "steps": np.rint(model["steps"]).astype(np.int64)}
    fedavg(clients_of(3), FLStoreAggregator(behind.url, resume=True, **QUIET), model=model)
    assert [info.clients for info in behind.store.rounds("nvflare")] == [0, 3, 3, 3, 3]


# ScatterAndGather, and what is observed


def test_the_older_workflow_is_recorded_and_advised(behind: Door) -> None:
    model, _ = scatter_and_gather(clients_of(10, 3), FLStoreAggregator(behind.url, advice="exclude", **QUIET), 3)
    assert accuracy(model) > 0.6
    last = behind.store.round("nvflare", 3)
    assert len(last.members) == 10
    assert last.metrics["advice"]["applied"] == {f"site-{number}": 0.0 for number in (1, 2, 3)}
    assert np.array_equal(behind.store.get_aggregate("nvflare", 3)["w"], model["w"].astype(np.float32))


@pytest.mark.parametrize("with_observer", [False, True])
def test_a_result_of_an_earlier_round_does_not_count(behind: Door, with_observer: bool) -> None:
    aggregator = intime() if with_observer else FLStoreAggregator(behind.url, **QUIET)
    observer = FLStoreObserver(behind.url, **QUIET) if with_observer else None
    clients = clients_of(3)
    honest = clients["site-3"]

    def hold_up(task: FLModel) -> FLModel | None:
        if task.current_round == 1:
            name, result = server.results[0]
            workflow = server.get_component("workflow-0")
            workflow.process_result_of_unknown_task(
                server.get_clients()[0], "train", "task", result, server.context_of(name)
            )
        return honest(task)

    clients["site-3"] = hold_up
    components = {"persistor": MemoryPersistor(initial()), "aggregator": aggregator, "observer": observer}
    server = Server(clients, {name: each for name, each in components.items() if each is not None})
    server._components["generator"] = FullModelShareableGenerator()
    server.run(ScatterAndGather(3, 2, persistor_id="persistor", shareable_generator_id="generator"))
    stored = behind.store.round("nvflare", 2)
    assert len(stored.members) == 3
    assert "site-1" in stored.metrics["failures"]


def test_a_client_counts_once_in_a_round(behind: Door) -> None:
    aggregator = FLStoreAggregator(behind.url, **QUIET)
    for value in (1.0, 5.0):
        params = {"w": np.full((4, 8), value, np.float32)}
        aggregator.accept_model(FLModel(params=params, current_round=0, meta={"client_name": "a"}))
    assert aggregator.aggregate_model().params["w"][0, 0] == 1.0
    end(aggregator)


def test_any_workflow_is_observed(behind: Door) -> None:
    model, _ = scatter_and_gather(clients_of(4), intime(), observer=FLStoreObserver(behind.url, "seen", **QUIET))
    fedavg(clients_of(4, is_delta=True), None, observer=FLStoreObserver(behind.url, "seen", **QUIET))
    assert [info.clients for info in behind.store.rounds("seen")] == [0, 4, 4]
    assert np.array_equal(behind.store.get_aggregate("seen", 2)["w"], model["w"].astype(np.float32))
    assert behind.store.round("seen", 2).by_client["site-1"].metrics["num_examples"] == 11  # type: ignore[index]
    assert behind.store.job("seen-2").updates == "delta"
    assert [info.clients for info in behind.store.rounds("seen-2")] == [0, 4, 4]


def test_what_is_observed_and_cannot_be_recorded_is_noted(behind: Door) -> None:
    clients = {**clients_of(3), "bad": learner(9, w=None, v="text")}
    fedavg(clients, Median(), 1, observer=FLStoreObserver(behind.url, **QUIET))
    assert len(behind.store.rounds("nvflare")) == 0 or behind.store.round("nvflare", 1).metrics["failures"]


# Trouble


@pytest.mark.parametrize("kind", ["aggregator", "observer"])
def test_encrypted_updates_are_refused_with_a_word(behind: Door, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    def encrypted(task: FLModel) -> FLModel:
        return FLModel(params={"w": np.zeros(2)}, meta={"PROCESSED_ALGORITHM": "_HE_CKKS_"})

    aggregator = FLStoreAggregator(behind.url, **QUIET) if kind == "aggregator" else None
    observer = FLStoreObserver(behind.url, **QUIET) if kind == "observer" else None
    _, server = fedavg({"a": encrypted}, aggregator, 1, observer)
    if kind == "aggregator":
        assert ["encrypted" in reason for reason in server.panics] == [True]
    else:
        assert not server.panics
        assert "its parameters are encrypted" in caplog.text
    assert not list(behind.store.jobs())


def test_an_encrypted_update_is_refused_without_a_server_too(behind: Door) -> None:
    aggregator = FLStoreAggregator(behind.url, **QUIET)
    aggregator.accept_model(FLModel(params={"w": np.zeros(2)}, meta={"PROCESSED_ALGORITHM": "_HE_CKKS_"}))
    assert aggregator.aggregate_model().params == {}


@pytest.mark.parametrize("kind", ["aggregator", "observer"])
def test_a_workflow_over_encrypted_models_is_recognized_at_its_start(
    behind: Door, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Encrypting(FullModelShareableGenerator):  # type: ignore[misc]
        """Stands for NVFlare's own, which needs a library that is not here."""

    Encrypting.__module__ = "nvflare.app_opt.he.model_shareable_generator"
    aggregator = FLStoreAggregator(behind.url, **QUIET) if kind == "aggregator" else intime()
    components = {"persistor": MemoryPersistor(initial()), "aggregator": aggregator, "generator": Encrypting()}
    if kind == "observer":
        components["observer"] = FLStoreObserver(behind.url, **QUIET)
    server = Server(clients_of(2), components)
    server.run(ScatterAndGather(2, 1, persistor_id="persistor", shareable_generator_id="generator"))
    assert "encrypted" in (server.panics[0] if kind == "aggregator" else caplog.text)
    assert not list(behind.store.jobs())


def test_training_goes_on_without_a_store(behind: Door) -> None:
    behind.shut()
    hasty = Limits(deadline_s=0.05, linger_s=0.05)
    model, server = fedavg(clients_of(4), FLStoreAggregator(behind.url, advice="exclude", limits=hasty), rounds=3)
    assert accuracy(model) > 0.5
    assert not server.panics


def test_training_goes_on_when_the_store_goes_away(behind: Door) -> None:
    clients = clients_of(4)
    honest = clients["site-4"]

    def shut(task: FLModel) -> FLModel | None:
        if task.current_round == 1:
            eventually(lambda: behind.store.round("nvflare", 1).committed)
            behind.shut(applies=lambda request: request.method == "PUT", status=401, code="unauthorized")
        return honest(task)

    clients["site-4"] = shut
    model, server = fedavg(clients, FLStoreAggregator(behind.url, advice="exclude", **QUIET), rounds=3)
    behind.open()
    assert [info.committed for info in behind.store.rounds("nvflare")][:2] == [True, True]
    assert accuracy(model) > 0.5
    assert not server.panics


def test_training_stops_without_a_store_if_it_is_required(behind: Door) -> None:
    behind.shut(401, "unauthorized")
    _, server = fedavg(clients_of(4), FLStoreAggregator(behind.url, required=True, **QUIET), rounds=3)
    assert "recording is required" in server.panics[0]


def test_a_workflow_that_tells_of_no_model_is_recorded_from_its_averages(behind: Door) -> None:
    aggregator = FLStoreAggregator(behind.url, **QUIET)
    for number in range(2):
        aggregator.reset_stats()
        for name, client in clients_of(3).items():
            model = client(FLModel(params=initial()))
            assert model is not None
            aggregator.accept_model(FLModel(params=model.params, current_round=number, meta={"client_name": name}))
        average = aggregator.aggregate_model()
    end(aggregator)
    assert [(info.round, info.clients) for info in behind.store.rounds("nvflare")] == [(1, 3), (2, 3)]
    assert np.array_equal(behind.store.get_aggregate("nvflare", 2)["w"], average.params["w"].astype(np.float32))


def test_what_is_sent_after_a_round_was_closed_does_not_count(behind: Door) -> None:
    training = Chapters(lambda is_delta: behind.recorder())
    training.open(0)
    training.end(initial())
    update = update_of(FLModel(params=initial()), "a")
    assert training.update(update, 1.0) == "it came after the round was closed"


def test_an_aggregate_of_no_numbers_is_not_recorded(behind: Door) -> None:
    training = Chapters(lambda is_delta: behind.recorder())
    training.open(0)
    assert training.update(update_of(FLModel(params=initial()), "a"), 1.0) == ""
    training.conclude(FLModel(params={"w": "text"}))
    training.finish()
    assert behind.store.round("j", 1).aggregate is None


@pytest.mark.parametrize(
    ("said", "weight"), [(None, 1.0), (7, 7.0), (True, 1.0), ("many", 1.0), (-3, 1.0), (float("inf"), 1.0)]
)
def test_a_clients_steps_are_its_weight_if_they_are_a_number(said: Any, weight: float) -> None:
    assert update_of(FLModel(params={}, meta={"NUM_STEPS_CURRENT_ROUND": said}), "a").steps == weight


def test_parameters_without_names_are_refused() -> None:
    with pytest.raises(TypeError, match="are a list, and no arrays by name"):
        update_of(FLModel(params=[1.0]), "a")


def test_messages_without_a_model_have_none() -> None:
    assert model_in(None) is None
    assert model_in(Shareable()) is None
    assert model_in(FLModel(params={})) is not None


def test_an_error_of_a_component_does_not_reach_nvflare(behind: Door, caplog: pytest.LogCaptureFixture) -> None:
    aggregator = FLStoreAggregator(behind.url, **QUIET)
    aggregator.accept_model(None)
    assert "the training goes on" in caplog.text


def test_sampling_that_fails_to_be_advised_stays_as_it_was(behind: Door, caplog: pytest.LogCaptureFixture) -> None:
    class Own(FedAvg):  # type: ignore[misc]
        """A workflow that does not say which round it is in."""

        def sample_clients(self, num_clients: int | None = None) -> list[str]:
            self.current_round = None
            names: list[str] = super().sample_clients(num_clients)
            return names

    aggregator = FLStoreAggregator(behind.url, schedule="schedule-clusters", **QUIET)
    workflow = Own(num_clients=2, num_rounds=1, aggregator=aggregator)
    Server(clients_of(2), {"persistor": MemoryPersistor(initial()), "aggregator": aggregator}).run(workflow)
    assert "the training goes on" in caplog.text
