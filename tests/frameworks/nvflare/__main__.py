"""`python -m tests.frameworks.nvflare PLAN`: train by a plan in JSON, in NVFlare's simulator."""

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe import SimEnv

from flstore_core.integrations.nvflare import FLStoreAggregator
from flstore_core.integrations.recorder import Limits
from tests.frameworks import clients
from tests.frameworks.nvflare import site
from tests.frameworks.plan import Outcome, Plan, answer


def train(plan: Plan) -> Outcome:
    """Run a simulation with a process for each site. Models go as one flat array."""
    options: dict[str, Any] = {"advice": plan.advice, "limits": Limits(deadline_s=plan.deadline_s)}
    with tempfile.TemporaryDirectory() as folder:
        judged = Path(folder, "judged.jsonl")
        os.environ |= {site.PLAN: json.dumps(plan.config), site.JUDGED: str(judged)}
        recipe = NumpyFedAvgRecipe(
            name="study",
            model=clients.flat(clients.initial(plan.config)).tolist(),
            min_clients=plan.clients,
            num_rounds=plan.rounds,
            train_script=site.__file__,
            aggregator=FLStoreAggregator(plan.url, plan.job, **options) if plan.url else None,
        )
        recipe.execute(SimEnv(num_clients=plan.clients, workspace_root=folder))
        accuracies, times = zip(*map(json.loads, judged.read_text().splitlines()), strict=True)
        (saved,) = Path(folder).rglob("server.npy")
        last = clients.accuracy(clients.layered(np.load(saved), plan.config), plan.config)
        return Outcome([*accuracies, last], np.diff(times).tolist(), 0, version("nvflare"))


if __name__ == "__main__":
    answer(train)
