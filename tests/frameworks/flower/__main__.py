"""`python -m tests.frameworks.flower PLAN`: train by a plan in JSON, in Flower's simulation."""

import os

from flwr.server.superlink.fleet.vce.backend.backend import BackendConfig
from flwr.simulation import run_simulation

from tests.frameworks.flower.app import client_app, server_app
from tests.frameworks.plan import Outcome, Plan, answer


def train(plan: Plan) -> Outcome:
    """Run a simulation with a node for each client; those that are elsewhere all at once, others one on each core."""
    told: list[Outcome] = []
    share = (os.cpu_count() or 1) / plan.present if plan.training_s else 1
    backend: BackendConfig = {"client_resources": {"num_cpus": share}}
    run_simulation(server_app(plan, told), client_app, plan.present, backend_config=backend)
    return told[0]


if __name__ == "__main__":
    answer(train)
