"""Older strategies of Flower, attached to FLStore: clients are proxies in this process, the server is Flower's own."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from flwr.common import (
    Code,
    DisconnectRes,
    EvaluateIns,
    EvaluateRes,
    FitIns,
    FitRes,
    GetParametersIns,
    GetParametersRes,
    GetPropertiesRes,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server import Server
from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg

from flstore_core.integrations.flower import attach
from tests.integrations.door import PATIENT, Door


class Proxy(ClientProxy):
    """A client that takes a step towards 1, or away from it."""

    def __init__(self, cid: str, sign: float = 1.0, name: str = "", problem: str = "") -> None:
        super().__init__(cid)
        self._sign, self._name, self._problem = sign, name, problem
        self._rng = np.random.default_rng(int(cid))

    def fit(self, ins: FitIns, timeout: float | None, group_id: int | None) -> FitRes:
        (w,) = parameters_to_ndarrays(ins.parameters)
        learned = w + self._sign * (0.3 * (1.0 - w) + 0.05 * self._rng.standard_normal(w.shape))
        status = Status(Code.FIT_NOT_IMPLEMENTED if self._problem else Code.OK, self._problem)
        metrics: dict[str, Any] = {"flstore-client": self._name} if self._name else {}
        return FitRes(status, ndarrays_to_parameters([learned.astype(np.float32)]), 10, {**metrics, "loss": 0.5})

    def evaluate(self, ins: EvaluateIns, timeout: float | None, group_id: int | None) -> EvaluateRes:
        return EvaluateRes(Status(Code.OK, ""), 0.25, 10, {"accuracy": 0.75})

    def get_parameters(self, ins: GetParametersIns, timeout: float | None, group_id: int | None) -> GetParametersRes:
        return GetParametersRes(Status(Code.OK, ""), ndarrays_to_parameters([np.zeros((4, 8), np.float32)]))

    def get_properties(self, *args: Any, **kwargs: Any) -> GetPropertiesRes:
        raise NotImplementedError

    def reconnect(self, *args: Any, **kwargs: Any) -> DisconnectRes:
        raise NotImplementedError


def train(strategy: FedAvg, proxies: list[Proxy], rounds: int = 2) -> Any:
    """Train, end the recording, and return the model."""
    model = fit(strategy, proxies, rounds)
    vars(strategy)["flstore"]._training.finish()
    return model


def fit(strategy: FedAvg, proxies: list[Proxy], rounds: int) -> Any:
    manager = SimpleClientManager()
    for proxy in proxies:
        manager.register(proxy)
    server = Server(client_manager=manager, strategy=strategy)
    server.fit(rounds, None)
    return parameters_to_ndarrays(server.parameters)[0]


def proxies(clients: int, attackers: int = 0) -> list[Proxy]:
    return [Proxy(str(number), -1.0 if number < attackers else 1.0, f"c{number}") for number in range(clients)]


TRAINING = """
import sys
from flstore_core.integrations.flower import attach
from tests.integrations.test_flower_legacy import FedAvg, fit, proxies

fit(attach(FedAvg(), sys.argv[1]), proxies(5), 2)
"""


def average(metrics: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """Aggregate metrics as users do: every one of them is a number."""
    return {name: float(np.mean([values[name] for _, values in metrics])) for name in metrics[0][1]}


def test_a_training_is_recorded_whole(behind: Door) -> None:
    strategy = attach(
        FedAvg(
            on_fit_config_fn=lambda number: {"lr": 0.1},
            fit_metrics_aggregation_fn=average,
            evaluate_metrics_aggregation_fn=average,
            evaluate_fn=lambda number, arrays, config: (0.125, {"central": 1.0}),
        ),
        behind.store,
        limits=PATIENT,
    )
    model = train(strategy, proxies(5))
    assert [info.clients for info in behind.store.rounds("flower")] == [0, 5, 5]
    last = behind.store.round("flower", 2)
    assert last.base == 1
    assert [str(member.client) for member in last.members] == [f"c{number}" for number in range(5)]
    assert last.members[0].metrics == {"loss": 0.5, "num_examples": 10}
    assert last.hyperparameters["lr"] == 0.1
    expected = {"loss": 0.5, "evaluate_loss": 0.25, "accuracy": 0.75, "central": 1.0}
    assert {name: last.metrics[name] for name in expected} == expected
    assert np.allclose(behind.store.get_aggregate("flower", 2)["0"], model)
    assert not behind.store.get_aggregate("flower", 0)["0"].any()


def test_attackers_are_left_out(behind: Door) -> None:
    strategy = attach(FedAvg(), behind.store, advice="exclude", limits=PATIENT)
    model = train(strategy, proxies(10, attackers=3), rounds=6)
    clean = train(attach(FedAvg(), behind.store, limits=PATIENT), proxies(10), rounds=6)
    assert np.abs(1.0 - model).mean() < np.abs(1.0 - clean).mean() + 0.02
    assert behind.store.round("flower", 6).metrics["advice"]["applied"] == {"c0": 0.0, "c1": 0.0, "c2": 0.0}


def test_weights_are_multiplied(behind: Door) -> None:
    strategy = attach(
        FedAvg(), behind.store, advice="weigh", advisers=[lambda store, job, round_: {"0": 0.0}], limits=PATIENT
    )
    train(strategy, [Proxy("0"), Proxy("1")], rounds=1)
    stored = behind.store
    assert np.allclose(stored.get_aggregate("flower", 1)["0"], stored.get_update("flower", 1, "1")["0"])


def test_clients_that_fail_are_noted(behind: Door) -> None:
    train(attach(FedAvg(), behind.store, limits=PATIENT), [*proxies(4), Proxy("9", problem="no disk")], rounds=1)
    assert behind.store.round("flower", 1).metrics["failures"] == {"9": "no disk"}


def test_masked_updates_are_noted_and_not_stored(behind: Door) -> None:
    strategy = attach(FedAvg(), behind.store, limits=PATIENT)
    summed = ndarrays_to_parameters([np.ones((4, 8), np.float32)])
    results: list[Any] = [(proxy, FitRes(Status(Code.OK, ""), summed, 10, {"loss": 0.5})) for proxy in proxies(3)]
    strategy.aggregate_fit(1, results, [RuntimeError("lost")])
    vars(strategy)["flstore"]._training.finish()
    stored = behind.store.round("flower", 1)
    assert stored.members == ()
    assert stored.metrics["clients"]["2"] == {"loss": 0.5}
    assert stored.metrics["failures"] == {"0": "lost"}
    assert stored.aggregate is not None


def test_clients_are_chosen_by_a_workload(behind: Door) -> None:
    strategy = attach(
        FedAvg(fraction_fit=0.5, min_fit_clients=3), behind.store, schedule="schedule-clusters", limits=PATIENT
    )
    train(strategy, proxies(6), rounds=3)
    taken = [{str(m.client) for m in behind.store.round("flower", number).members} for number in (1, 2)]
    assert len(taken[0]) == 3
    assert taken[1] == taken[0]


def test_a_round_without_results_is_recorded(behind: Door) -> None:
    strategy = attach(FedAvg(), behind.store, limits=PATIENT)
    assert strategy.aggregate_fit(1, [], []) == (None, {})
    vars(strategy)["flstore"]._training.finish()
    assert behind.recordings == []
    with pytest.raises(Exception, match="does not exist"):
        behind.store.round("flower", 1)


def test_the_last_round_is_closed_when_the_process_ends(behind: Door) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", TRAINING, behind.url], check=True)
    assert [info.clients for info in behind.store.rounds("flower") if info.committed] == [0, 5, 5]
