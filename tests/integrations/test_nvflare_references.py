"""NVFlare by reference: its workflows and our filters over a real gateway, with no model in any message."""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather
from nvflare.fuel.utils import fobs
from starlette.requests import Request

from flstore_core.errors import InvalidParameters
from flstore_core.integrations.nvflare import FLStoreAggregator, by_reference
from flstore_core.integrations.nvflare.filters import (
    MOST_TASKS,
    ReferenceReader,
    ReferenceSender,
    ReferenceWriter,
    Task,
    _recall,
    _remember,
)
from flstore_core.integrations.nvflare.models import model_in
from flstore_core.integrations.nvflare.references import REFERENCE, Later, LaterDecomposer, reference_in, referring
from flstore_core.integrations.recorder import Limits
from flstore_core.integrations.reference import Assignment, ByReference, Delivery, Model
from tests.integrations.door import PATIENT, Door
from tests.integrations.nvflares import Client, MemoryPersistor, Server, clients_of, initial, learner
from tests.integrations.test_nvflare import Median, accuracy, half_and_quarter, same, whole
from tests.integrations.test_nvflare_jobs import Builder, exported

BRIEF = ByReference(patience_s=30.0)
HASTY = Limits(deadline_s=0.05, linger_s=0.05)


@pytest.fixture(autouse=True)
def allowed(behind: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow the clients the gateway, as their operators do."""
    monkeypatch.setenv("FLSTORE_URL", behind.url)


def train(
    behind: Door,
    clients: Mapping[str, Client],
    rounds: int = 2,
    model: Mapping[str, Any] | None = None,
    transport: Any = BRIEF,
    workflow: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> tuple[Any, Server]:
    """Train by FedAvg, and return the model that its persistor has, and the server."""
    persistor = MemoryPersistor(model or initial())
    aggregator = FLStoreAggregator(behind.url, "j", transport=transport, **{"limits": PATIENT, **arguments})
    server = by_reference(Server(clients, {"persistor": persistor, "aggregator": aggregator}))
    server.run(FedAvg(num_clients=len(clients), num_rounds=rounds, aggregator=aggregator, **(workflow or {})))
    return persistor.model, server


def by_value(clients: Mapping[str, Client], rounds: int = 2, **arguments: Any) -> dict[str, Any]:
    persistor = MemoryPersistor(initial())
    server = Server(clients, {"persistor": persistor})
    server.run(FedAvg(num_clients=len(clients), num_rounds=rounds, **arguments))
    return persistor.model


@pytest.mark.parametrize("is_delta", [False, True])
@pytest.mark.parametrize("workflow", [{}, {"aggregation_weights": {"site-1": 7.0, "site-3": 0.5}}])
def test_messages_have_no_model_and_the_training_is_the_one_by_value(
    behind: Door, is_delta: bool, workflow: dict[str, Any]
) -> None:
    model, server = train(behind, clients_of(4, is_delta=is_delta), workflow=workflow)
    assert not server.panics
    assert server.nbytes == 0
    assert np.allclose(model["w"], by_value(clients_of(4, is_delta=is_delta), **workflow)["w"], rtol=1e-5)
    assert [info.clients for info in behind.store.rounds("j")] == [0, 4, 4]
    last = behind.store.round("j", 2)
    assert last.by_client["site-2"].num_examples == 12  # type: ignore[index]
    assert last.metrics["loss"] > 0.0
    assert behind.store.run("j", "provenance", last=2, verify=True).result.verified


@pytest.mark.parametrize("is_delta", [False, True])
def test_a_tensor_that_is_not_sent_is_as_it_was_received(behind: Door, is_delta: bool) -> None:
    clients = {"a": learner(1, is_delta=is_delta), "b": learner(2, is_delta=is_delta, steps=None)}
    _, server = train(behind, clients, 1, {**initial(), "steps": np.array(5)})
    assert not server.panics
    assert [int(behind.store.get_update("j", 1, name)["steps"]) for name in ("a", "b")] == [6, 5]


def test_tensors_that_are_not_averaged_stop_the_job(behind: Door) -> None:
    _, server = train(behind, clients_of(2), 1, workflow={"exclude_vars": "steps"})
    assert "exclude_vars cannot go by reference" in server.panics[0]


def test_attackers_are_excluded(behind: Door) -> None:
    model, _ = train(behind, clients_of(10, 3), rounds=4, advice="exclude")
    assert accuracy(model) > accuracy(by_value(clients_of(10), 4)) - 0.02
    applied = behind.store.round("j", 4).metrics["advice"]["applied"]
    assert applied == {"site-1": 0.0, "site-2": 0.0, "site-3": 0.0}


def test_weights_are_multiplied(behind: Door) -> None:
    clients = {"a": whole(0.0), "b": whole(1.0)}
    model, _ = train(behind, clients, 1, advice="weigh", advisers=[half_and_quarter])
    assert model["w"][0, 0] == pytest.approx(2 / 3)


def test_another_method_may_aggregate(behind: Door) -> None:
    clients = {"a": whole(0.0), "b": whole(1.0), "c": whole(50.0)}
    model, _ = train(behind, clients, 1, transport=ByReference("median", patience_s=30.0))
    assert model["w"][0, 0] == 1.0


def test_another_aggregator_is_given_updates_to_be_fetched(behind: Door) -> None:
    inner = Median()
    model, server = train(behind, {"a": whole(0.0), "b": whole(1.0), "c": whole(50.0)}, 1, aggregator=inner)
    assert server.nbytes == 0
    assert model["w"][0, 0] == 1.0
    assert isinstance(inner.taken[0].params, Later)
    assert behind.store.get_aggregate("j", 1)["w"][0, 0] == 1.0


def test_the_older_workflow_goes_by_reference_too(behind: Door) -> None:
    persistor = MemoryPersistor(initial())
    aggregator = FLStoreAggregator(behind.url, "j", transport=BRIEF, limits=PATIENT)
    components = {"persistor": persistor, "aggregator": aggregator, "generator": FullModelShareableGenerator()}
    server = by_reference(Server(clients_of(3), components))
    server.run(ScatterAndGather(3, 3, persistor_id="persistor", shareable_generator_id="generator"))
    assert (server.nbytes, server.panics) == (0, [])
    assert np.allclose(persistor.model["w"], by_value(clients_of(3), 3)["w"], rtol=1e-5)


def test_the_model_is_fetched_when_somebody_reads_it(behind: Door) -> None:
    fetched: list[int] = []
    later = Later(lambda: fetched.append(1) or {"w": np.ones(2), "b": np.zeros(1)})  # type: ignore[func-returns-value]
    assert later
    assert copy.deepcopy(later) is copy.copy(later) is later
    assert not fetched
    assert list(later) == ["w", "b"] == list(later.keys())
    assert (len(later), "w" in later, later.get("x", 3), len(later.values())) == (2, True, 3, 2)
    assert {**later}.keys() == dict(later).keys() == later.copy().keys() == {"w", "b"}
    assert fetched == [1]


def test_nvflare_writes_a_model_that_is_fetched_as_any_other() -> None:
    fobs.register(LaterDecomposer)
    written = fobs.dumps(Later(lambda: {"steps": 3}))
    assert fobs.loads(written) == {"steps": 3}


def test_a_client_that_comes_later_is_given_its_task(behind: Door) -> None:
    clients, latecomer = clients_of(2), clients_of(3)["site-3"]
    honest = clients["site-2"]

    def join(task: FLModel) -> FLModel | None:
        server._clients["site-3"] = latecomer
        return honest(task)

    clients["site-2"] = join
    persistor = MemoryPersistor(initial())
    aggregator = FLStoreAggregator(behind.url, "j", transport=BRIEF, limits=PATIENT)
    server = by_reference(Server(clients, {"persistor": persistor, "aggregator": aggregator}))
    server.run(Everybody(num_clients=3, num_rounds=1, aggregator=aggregator))
    assert server.nbytes == 0
    assert [info.clients for info in behind.store.rounds("j")] == [0, 3]


class Everybody(FedAvg):  # type: ignore[misc]
    """Has clients train that are not there yet."""

    def sample_clients(self, num_clients: int | None = None) -> list[str]:
        return ["site-1", "site-2", "site-3"]


# Trouble


class Lying(Server):
    """A server whose clients' filters are their own."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lies: dict[str, Any] = {}

    def _work(self, client_task: Any, asked: Any) -> Any:
        answered = super()._work(client_task, asked)
        lie = self.lies.get(client_task.client.name)
        model = model_in(answered)
        text = reference_in(model.params) if model else None
        return referring(answered, lie(Delivery.from_text(text))) if lie and text else answered


def lied_to(behind: Door, lie: Any, **arguments: Any) -> tuple[dict[str, Any], Server]:
    """Train with three clients, of which the last changes what it says."""
    persistor = MemoryPersistor(initial())
    aggregator = FLStoreAggregator(behind.url, "j", **{"transport": BRIEF, "limits": PATIENT, **arguments})
    server = Lying(clients_of(3), {"persistor": persistor, "aggregator": aggregator})
    server.lies["site-3"] = lie
    by_reference(server).run(FedAvg(num_clients=3, num_rounds=1, aggregator=aggregator))
    return persistor.model, server


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (lambda told: replace(told, sha256="0" * 64).to_text(), "is stored"),
        (lambda told: replace(told, client="site-1").to_text(), "not its own"),
        (lambda told: "{}", "cannot be read"),
    ],
)
def test_a_client_that_says_something_untrue_does_not_count(behind: Door, lie: Any, why: str) -> None:
    model, server = lied_to(behind, lie)
    assert not server.panics
    assert np.allclose(model["w"], by_value(clients_of(2), 1)["w"], rtol=1e-5)
    assert why in behind.store.round("j", 1).metrics["failures"]["site-3"]


@pytest.mark.parametrize("away", ["stop", "value"])
def test_a_store_that_goes_away_with_the_updates_ends_the_job_or_the_round(behind: Door, away: Any) -> None:
    def go_away(told: Delivery) -> str:
        behind.shut()
        return told.to_text()

    arguments = {"transport": ByReference(away=away, patience_s=5.0), "limits": Limits(linger_s=0.05)}
    model, server = lied_to(behind, go_away, advice=None, **arguments)
    assert ["cannot go on by reference" in reason for reason in server.panics] == [True] * (away == "stop")
    assert same(model, initial())


def test_a_client_goes_nowhere_that_its_operator_has_not_allowed(behind: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLSTORE_URL", "https://other.example")
    model, server = train(behind, clients_of(2), 1, workflow={"ignore_result_error": True})
    assert not server.panics
    assert same(model, initial())
    assert behind.store.round("j", 1).members == ()


def test_a_client_without_the_filter_may_send_its_model(behind: Door) -> None:
    persistor = MemoryPersistor(initial())
    aggregator = FLStoreAggregator(behind.url, "j", transport=BRIEF, limits=PATIENT)
    server = Server(clients_of(3), {"persistor": persistor, "aggregator": aggregator})
    server.run(FedAvg(num_clients=3, num_rounds=2, aggregator=aggregator))
    assert np.allclose(persistor.model["w"], by_value(clients_of(3))["w"], rtol=1e-5)


def test_a_reference_to_a_server_by_value_does_not_count(behind: Door, caplog: pytest.LogCaptureFixture) -> None:
    aggregator = FLStoreAggregator(behind.url, "j", limits=PATIENT)
    model = FLModel(params={REFERENCE: "text"}, current_round=0, meta={"client_name": "a"})
    aggregator.accept_model(model)
    assert "the aggregator has transport='value'" in caplog.text


def test_the_job_stops_where_the_store_is_away(behind: Door) -> None:
    behind.shut()
    _, server = train(behind, clients_of(2), 1, transport=ByReference(patience_s=0.05), limits=HASTY)
    assert "cannot go on by reference" in server.panics[0]


def test_the_job_goes_on_by_value_where_that_may_be(behind: Door) -> None:
    behind.shut()
    transport = ByReference(away="value", patience_s=0.05)
    model, server = train(behind, clients_of(3), transport=transport, limits=HASTY)
    assert not server.panics
    assert same(model, by_value(clients_of(3)))


def test_updates_that_the_store_does_not_take_are_sent_by_value(behind: Door) -> None:
    clients = clients_of(3)
    honest = clients["site-3"]

    def shut(task: FLModel) -> FLModel | None:
        behind.shut(applies=lambda request: "/site-3" in request.url.path and request.method == "PUT")
        return honest(task)

    def open_again(task: FLModel) -> FLModel | None:
        behind.open()
        return clients_of(4)["site-4"](task)

    clients |= {"site-3": shut, "site-4": open_again}
    model, server = train(behind, clients, 1, transport=ByReference(away="value", patience_s=30.0))
    assert 0 < server.nbytes < 1000
    assert np.allclose(model["w"], by_value(clients_of(4), 1)["w"], rtol=1e-5)
    assert len(behind.store.round("j", 1).members) == 4


def test_an_update_that_the_store_refuses_is_a_failure_of_its_client(behind: Door) -> None:
    clients = {**clients_of(2), "bad": learner(9, w=np.full((4, 8), np.nan, np.float32))}
    model, server = train(behind, clients, 1, workflow={"ignore_result_error": True})
    assert not server.panics
    assert np.allclose(model["w"], by_value(clients_of(2), 1)["w"], rtol=1e-5)
    assert len(behind.store.round("j", 1).members) == 2


def test_where_the_store_goes_away_before_it_aggregates_the_model_stays(behind: Door) -> None:
    def aggregates(request: Request) -> bool:
        return request.method == "POST" and request.url.path.endswith("/aggregate")

    clients = clients_of(2)
    honest = clients["site-2"]

    def shut(task: FLModel) -> FLModel | None:
        if task.current_round == 1:
            behind.shut(applies=aggregates)
        return honest(task)

    clients["site-2"] = shut
    model, server = train(behind, clients, 2, advice=None, transport=ByReference(away="value", patience_s=5.0))
    assert not server.panics
    assert np.allclose(model["w"], by_value(clients_of(2), 1)["w"], rtol=1e-5)


def test_the_job_goes_on_by_value_from_the_model_that_the_store_made(behind: Door) -> None:
    behind.shut(applies=lambda request: "/rounds/2/tickets" in request.url.path)
    transport = ByReference(away="value", patience_s=5.0)
    model, server = train(behind, clients_of(2), 3, transport=transport)
    assert not server.panics
    assert 0 < server.nbytes < 2000  # of the second round
    assert np.allclose(model["w"], by_value(clients_of(2), 3)["w"], rtol=1e-5)
    assert [info.clients for info in behind.store.rounds("j")] == [0, 2, 2, 2]


def test_a_client_at_many_tasks_forgets_the_oldest(behind: Door) -> None:
    contexts = []
    for number in range(MOST_TASKS + 1):
        contexts.append(FLContext())
        contexts[-1].set_prop(FLContextKey.TASK_ID, f"many-{number}", private=True, sticky=False)
        _remember(contexts[-1], Task(Assignment(Model("u", "j", 0, "0" * 64, "t")), frozenset()))
    assert [_recall(context) is None for context in (contexts[0], *contexts[1:])] == [True] + [False] * MOST_TASKS


def test_a_training_by_reference_needs_a_model_to_start_from(behind: Door) -> None:
    _, server = train(behind, clients_of(2), 1, {"penalty": "l2"})
    assert "needs a model of arrays to start from" in server.panics[0]


def test_filters_without_the_aggregator_say_what_is_missing(behind: Door) -> None:
    server = Server(clients_of(2), {"persistor": MemoryPersistor(initial())})
    with pytest.raises(InvalidParameters, match="is no FLStoreAggregator"):
        ReferenceSender().process(Shareable(), server.new_context())


def test_messages_without_references_pass_as_they_are() -> None:
    message, context = Shareable(), FLContext()
    assert ReferenceReader().process(message, context) is message
    assert ReferenceWriter().process(message, context) is message


@pytest.mark.parametrize("transport", ["reference", ByReference("trimmed-mean", {"trim": 0.2}, url="https://outside")])
def test_a_job_can_hold_how_it_goes_by_reference(tmp_path: Path, transport: Any) -> None:
    original = FLStoreAggregator("https://flstore.example", transport=transport)
    _, written = exported(original, tmp_path)
    built = Builder().build_component(json.loads(json.dumps(written)))
    assert built.transport == original.transport
    assert built._options == (ByReference() if transport == "reference" else transport)


def test_transports_that_there_are_not_are_refused() -> None:
    with pytest.raises(InvalidParameters, match="use 'value', 'reference'"):
        FLStoreAggregator("https://flstore.example", transport="pigeon")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameters, match="weighs clients"):
        FLStoreAggregator("https://flstore.example", transport=ByReference("median"), advice="weigh")
