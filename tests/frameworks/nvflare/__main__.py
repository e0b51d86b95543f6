"""`python -m tests.frameworks.nvflare PLAN`: train by a plan in JSON, in NVFlare's simulator."""

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.private.fed.app.fl_conf import FL_PACKAGES
from nvflare.recipe import SimEnv

from flstore_core.integrations.nvflare import FLStoreAggregator, by_reference
from flstore_core.integrations.recorder import Limits
from tests.frameworks import clients
from tests.frameworks.environments import ROOT
from tests.frameworks.nvflare import site
from tests.frameworks.nvflare.ports import keep_ports
from tests.frameworks.nvflare.watcher import Watcher
from tests.frameworks.plan import FOLDER, Outcome, Plan, answer

LOOK_S = 1.0
"""Seconds after which a site asks for the next task. NVFlare's own two are most of a short round; asking costs, too."""


def train(plan: Plan) -> Outcome:
    """Run a simulation with a process for each site. Models go as one flat array."""
    folder = Path(os.environ[FOLDER])
    seen, start = folder / "seen.json", clients.initial(plan.config)
    recipe = _recipe(plan, clients.flat(start), folder)
    recipe._job.to_server(Watcher(str(seen), plan.config))  # recipes have no method for a component
    if not plan.training_s:  # where rounds are timed, they are as NVFlare has them
        recipe.add_server_config({"server": {"task_request_interval": LOOK_S}})
    first = clients.accuracy(start, plan.config)
    sites = [f"site-{number + 1}" for number in range(plan.absent, plan.clients)]
    os.environ |= {site.PLAN: json.dumps(plan.config), "PYTHONPATH": str(ROOT)}
    keep_ports()
    recipe.execute(SimEnv(clients=sites, workspace_root=str(folder)))
    outcome = Outcome(**json.loads(seen.read_text()), version=version("nvflare"))
    outcome.accuracy.insert(0, first)
    return outcome


def _recipe(plan: Plan, start: np.ndarray[Any, Any], folder: Path) -> NumpyFedAvgRecipe:
    model = folder / "initial.npy"
    np.save(model, start)
    FL_PACKAGES.append("tests")  # sites import it from here; a job would have copies of some of its modules
    recipe = NumpyFedAvgRecipe(
        name="study",
        initial_ckpt=str(model),
        min_clients=plan.present,
        num_rounds=plan.rounds,
        train_script=site.__file__,
        aggregator=_aggregator(plan) if plan.url else None,
    )
    return by_reference(recipe) if plan.transport == "reference" else recipe


def _aggregator(plan: Plan) -> FLStoreAggregator:
    limits = Limits(deadline_s=plan.deadline_s)
    return FLStoreAggregator(plan.url, plan.job, advice=plan.advice, transport=plan.transport, limits=limits)  # type: ignore[arg-type]


if __name__ == "__main__":
    answer(train)
