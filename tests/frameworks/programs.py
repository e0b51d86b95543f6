"""The frameworks' programs, each in its own environment."""

import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass

from tests.frameworks.environments import ROOT, environment, work_folder
from tests.frameworks.plan import FOLDER, Outcome, Plan
from tests.frameworks.processes import run_to_end

LONGEST_S = 150.0
"""Seconds after which a training counts as lost, however large it is."""


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
    at_once: int = 1
    """Trainings of small models that run side by side."""
    niceness: int = 0
    """Of these trainings: dozens of processes that start at once would keep others from starting in their time."""
    light: str = ""
    """The module's part that trains with all clients in one process, if it has one."""
    bare: bool = True
    """Whether rounds of messages alone are measured too."""
    most_clients: int = 100
    """With large models; where each client is a process, starting them takes most of the time."""

    @property
    def version(self) -> str:
        """The version that is run."""
        python = environment(self.environment) / "python"
        asked = f"from importlib.metadata import version; print(version({self.package!r}))"
        return subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True).stdout.strip()

    def train(self, plan: Plan, program: str = "", niceness: int = 0) -> Outcome:
        """Train in a process of its own.

        Args:
            program: the module's part that does it, such as `light`; by default its own `__main__`.

        Raises:
            RuntimeError: if the program fails or takes too long; its output is part of the message.
        """
        python = environment(self.environment) / "python"
        module = f"{self.module}.{program}" if program else self.module
        command = ["nice", "-n", str(niceness), str(python), "-W", "ignore", "-m", module, json.dumps(asdict(plan))]
        env = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "RAY_DEDUP_LOGS": "0",
            "RAY_worker_niceness": "0",  # by default a busy machine lets clients wait for minutes
            "FLWR_TELEMETRY_ENABLED": "0",
        }
        if plan.url:
            env["FLSTORE_URL"] = plan.url  # what clients may be sent to
        try:
            with tempfile.TemporaryDirectory(dir=work_folder()) as folder:
                ended = run_to_end(command, cwd=ROOT, env={**env, FOLDER: folder}, longest_s=longest_s(plan))
        except subprocess.TimeoutExpired as late:
            why = f"it took longer than {late.timeout:g} s"
            raise RuntimeError(f"{why}\n{_end(late.output)}{_end(late.stderr)}") from late
        last = ended.stdout.rstrip().rpartition("\n")[2]
        if ended.returncode or not last.startswith("{"):
            why = f"its program ended with {ended.returncode}"
            raise RuntimeError(f"{why}\n{_end(ended.stdout)}{_end(ended.stderr)}")
        return Outcome(**json.loads(last))


def longest_s(plan: Plan) -> float:
    """Return the seconds after which a training counts as lost: twice what it takes on a busy machine, or more."""
    return min(LONGEST_S, 60.0 + 15.0 * plan.rounds + 0.75 * plan.clients)


def _end(text: str | bytes | None) -> str:
    return str(text or "")[-4000:]


FRAMEWORKS = (
    Framework(
        "Flower",
        "flower-simulation",
        "flwr",
        "tests.frameworks.flower",
        "`flwr run` and SuperNodes; trainings by its simulation with Ray",
        light="light",
    ),
    Framework(
        "NVFlare",
        "nvflare-simulation",
        "nvflare",
        "tests.frameworks.nvflare",
        "its simulator, each site a process",
        client="site-{}",
        first=1,
        at_once=3,
        niceness=10,
        bare=False,
        most_clients=30,
    ),
)
