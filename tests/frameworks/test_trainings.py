"""The study's own parts of a training, in this process; `make frameworks` has them in real servers and clients."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.job_config import fed_job_config
from nvflare.private.fed.app.deployer import simulator_deployer
from nvflare.private.fed.app.simulator import simulator_runner

from tests.frameworks import clients
from tests.frameworks.flower import app
from tests.frameworks.nvflare.ports import LOWEST, RANGE, _is_free, keep_ports
from tests.frameworks.nvflare.watcher import Watcher
from tests.frameworks.plan import Outcome, Plan
from tests.frameworks.simulation import simulate
from tests.integrations.flowers import FakeGrid, context
from tests.integrations.nvflares import Client, MemoryPersistor, Server

PLAN = Plan(clients=3, absent=1, rounds=2)
KEY = "numpy_key"


def by_flower(plan: Plan) -> Outcome:
    def client(number: int) -> Any:
        def answer(message: Message) -> RecordDict:
            content: RecordDict = app.client_app(message, context(**{"partition-id": number})).content
            return content

        return answer

    return app.run_server(plan, FakeGrid({1 + number: client(number) for number in range(plan.present)}))


def by_nvflare(plan: Plan, file: Path) -> Outcome:
    def client(number: int) -> Client:
        def answer(task: FLModel) -> FLModel:
            model = clients.layered(task.params[KEY], plan.config)
            sent, metrics = clients.train(model, plan.config, number, task.current_round + 1)
            steps = {"NUM_STEPS_CURRENT_ROUND": metrics["num-examples"]}
            return FLModel(params_type="FULL", params={KEY: clients.flat(sent)}, meta=steps)

        return answer

    start = clients.initial(plan.config)
    components = {
        "persistor": MemoryPersistor({KEY: clients.flat(start)}),
        "watcher": Watcher(str(file), plan.config),
    }
    server = Server({f"site-{1 + number}": client(number) for number in range(plan.absent, plan.clients)}, components)
    server.run(FedAvg(num_clients=plan.present, num_rounds=plan.rounds, persistor_id="persistor"))
    seen = Outcome(**json.loads(file.read_text()))
    seen.accuracy.insert(0, clients.accuracy(start, plan.config))
    return seen


def test_both_frameworks_learn_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    outcomes = [by_flower(PLAN), by_nvflare(PLAN, tmp_path / "seen.json")]
    for outcome in outcomes:
        assert len(outcome.accuracy) == 1 + PLAN.rounds
        assert outcome.accuracy[-1] > outcome.accuracy[0]
        assert len(outcome.seconds) == PLAN.rounds
        assert outcome.peak_bytes > 0
    assert np.allclose(outcomes[0].accuracy, outcomes[1].accuracy, atol=0.01)


def test_simulators_take_ports_that_the_system_does_not_give_out(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = (simulator_deployer, simulator_runner)
    for module in modules:
        monkeypatch.setattr(module, "get_open_ports", None)
    monkeypatch.setattr(fed_job_config, "sys", None)
    keep_ports()
    ports = [module.get_open_ports(2) for module in modules]
    taken = {port for each in ports for port in each}
    assert len(taken) == 4
    first_given_out = int(RANGE.read_text().split()[0])
    assert LOWEST <= min(taken) <= max(taken) < max(first_given_out, LOWEST + 1_000)


def test_the_simulator_that_an_app_starts_takes_such_ports_too(tmp_path: Path) -> None:
    (tmp_path / "simulator.py").write_text(
        "from nvflare.private.fed.app.simulator import simulator_runner as run; print(*run.get_open_ports(2))"
    )
    (tmp_path / "job.py").write_text(
        "import shlex, subprocess\n"
        "from nvflare.job_config import fed_job_config as made\n"
        "subprocess.run(shlex.split(f'{made.sys.executable} -m simulator'), check=True)"  # as it does itself
    )
    *_, first, second = simulate(Path(sys.executable).parent, tmp_path, tmp_path).split()
    assert LOWEST <= int(first) < int(second) < max(int(RANGE.read_text().split()[0]), LOWEST + 1_000)


def test_ports_that_others_listen_on_are_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert not _is_free(other.getsockname()[1])
