"""The frameworks' programs, each in its own environment."""

import json
import os
import subprocess
from dataclasses import asdict, dataclass

from tests.frameworks.environments import ROOT, environment
from tests.frameworks.plan import Outcome, Plan
from tests.frameworks.processes import run_to_end

LONGEST_S = 1800.0


@dataclass(frozen=True)
class Framework:
    """A framework, as the case study runs it."""

    name: str
    environment: str
    """The list of packages that its environment is built of."""
    package: str
    """Its name on PyPI."""
    module: str
    """The program that trains by a plan, as `python -m` takes it."""
    how: str
    """How trainings are run."""
    client: str = "{}"
    """How it names clients, of which the first is number 0."""
    first: int = 0
    large: bool = True
    """Whether models of ResNet18's size are trained in it."""
    transports: tuple[str, ...] = ("value",)
    """Ways in which models get to the aggregation."""

    @property
    def version(self) -> str:
        """The version that is run."""
        python = environment(self.environment) / "python"
        asked = f"from importlib.metadata import version; print(version({self.package!r}))"
        return subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True).stdout.strip()

    def train(self, plan: Plan, program: str = "") -> Outcome:
        """Train in a process of its own.

        Args:
            program: the module's part that does it, such as `memory`; by default its own `__main__`.

        Raises:
            RuntimeError: if the program fails; its output is part of the message.
        """
        python = environment(self.environment) / "python"
        module = f"{self.module}.{program}" if program else self.module
        command = [str(python), "-W", "ignore", "-m", module, json.dumps(asdict(plan))]
        env = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "RAY_DEDUP_LOGS": "0",
            "RAY_worker_niceness": "0",  # by default a busy machine lets clients wait for minutes
            "FLWR_TELEMETRY_ENABLED": "0",
        }
        if plan.url:
            env["FLSTORE_URL"] = plan.url  # what clients may be sent to
        ended = run_to_end(command, cwd=ROOT, env=env, longest_s=LONGEST_S)
        last = ended.stdout.rstrip().rpartition("\n")[2]
        if ended.returncode or not last.startswith("{"):
            raise RuntimeError(f"{self.name} failed ({ended.returncode}): {ended.stdout[-4000:]}{ended.stderr[-4000:]}")
        return Outcome(**json.loads(last))


FRAMEWORKS = (
    Framework(
        "Flower",
        "flower-simulation",
        "flwr",
        "tests.frameworks.flower",
        "`flwr run` and SuperNodes; trainings by its simulation with Ray",
        transports=("value", "reference"),
    ),
    Framework(
        "NVFlare",
        "nvflare-simulation",
        "nvflare",
        "tests.frameworks.nvflare",
        "its simulator, each site a process",
        client="site-{}",
        first=1,
        large=False,
    ),
)
