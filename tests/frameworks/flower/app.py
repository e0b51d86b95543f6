"""The app: what its server does, and its clients."""

import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from flstore_core.integrations.flower import attach, by_reference, client_names
from flstore_core.integrations.recorder import Limits
from tests.frameworks import clients
from tests.frameworks.plan import Outcome, Plan, peak_bytes

client_app = ClientApp(mods=[client_names, by_reference])


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """Train as the config says."""
    config: dict[str, Any] = dict(message.content.config_records["config"])
    client = config["absent"] + context.node_config["partition-id"]
    arrays = _arrays(message.content.array_records["arrays"])
    model, metrics = clients.train(arrays, config, client, config["server-round"])
    content = RecordDict({"arrays": _record(model), "metrics": MetricRecord(dict(metrics))})
    return Message(content, reply_to=message)


def server_app(plan: Plan, told: list[Outcome]) -> ServerApp:
    """Return the app's server; it adds the outcome to `told`."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        told.append(run_server(plan, grid))

    return app


def run_server(plan: Plan, grid: Grid) -> Outcome:
    """Train, and return what came of it."""
    accuracy: list[float] = []
    ends: list[float] = []

    def evaluate(number: int, arrays: ArrayRecord) -> MetricRecord:
        accuracy.append(clients.accuracy(_arrays(arrays), plan.config))
        ends.append(time.perf_counter())
        return MetricRecord({"accuracy": accuracy[-1]})

    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=plan.present, min_available_nodes=plan.present)
    if plan.url:
        limits = Limits(deadline_s=plan.deadline_s)
        options: dict[str, Any] = {"advice": plan.advice, "transport": plan.transport, "limits": limits}
        strategy = attach(strategy, plan.url, job=plan.job, **options)
    initial, config = _record(clients.initial(plan.config)), ConfigRecord(dict(plan.config))
    strategy.start(grid, initial, num_rounds=plan.rounds, train_config=config, evaluate_fn=evaluate)
    return Outcome(accuracy, np.diff(ends).tolist(), peak_bytes(), version("flwr"))


def _arrays(record: ArrayRecord) -> clients.Arrays:
    return {name: array.numpy() for name, array in record.items()}


def _record(model: Mapping[str, Any]) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in model.items()})
