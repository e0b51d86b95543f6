"""A Flower federation as it is deployed: a SuperLink and SuperNodes as processes, and `flwr run`."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.frameworks.processes import end_all, marked
from tests.servers import free_ports
from tests.waiting import eventually

LONGEST_S = 300.0
"""Seconds after which a run counts as lost."""


@dataclass(frozen=True)
class Federation:
    """A federation that runs."""

    programs: Path
    env: Mapping[str, str]
    log: Path
    """What the SuperLink and its ServerApps write."""

    def run(self, *apps: Path) -> list[str]:
        """Run apps side by side to their ends, and return what each came to, such as `finished:completed`."""
        with ThreadPoolExecutor(len(apps)) as pool:
            numbers = list(pool.map(self._start, apps))
        for number in numbers:
            ended = re.compile(rf"Finished task \d+ of run {number}")
            eventually(lambda ended=ended: bool(ended.search(self.log.read_text(errors="replace"))), LONGEST_S)  # type: ignore[misc]
        runs = self._flwr("list", "here", "--format", "json")["runs"]
        statuses = {str(run["run-id"]): str(run["status"]) for run in runs}
        return [statuses[number] for number in numbers]

    def _start(self, app: Path) -> str:
        return str(self._flwr("run", str(app), "here", "--format", "json")["run-id"])

    def _flwr(self, *command: str) -> Any:
        ended = subprocess.run(
            [str(self.programs / "flwr"), *command], env=dict(self.env), capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads(ended.stdout)


@contextmanager
def federation(programs: Path, folder: Path, nodes: int, allowed: str = "") -> Iterator[Federation]:
    """Run a SuperLink and SuperNodes on free loopback ports, with partition ids from 0.

    Args:
        allowed: the FLStore that clients may be sent to.
    """
    link, *ports = free_ports(nodes + 1)
    address = f"127.0.0.1:{link}"
    home = folder / "flwr"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{address}"\ninsecure = true\n'
    )
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    env = {**os.environ, "FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0", "PATH": path}
    env.pop("PYTHONPATH", None)
    log = folder / "superlink.log"
    superlink = ["flower-superlink", "--insecure", "--port", str(link), "--disable-runtime-dependency-installation"]
    with ExitStack() as stack:
        stack.enter_context(_running(programs, superlink, env, log))
        eventually(lambda: log.exists() and "startup complete" in log.read_text(), 60.0)
        for number, port in enumerate(ports):
            supernode = ["flower-supernode", "--insecure", "--superlink", address, "--port", str(port)]
            named = ["--node-config", f"partition-id={number} flstore-url='{allowed}'"]
            stack.enter_context(_running(programs, [*supernode, *named], env, folder / f"supernode-{number}.log"))
        yield Federation(programs, env, log)


@contextmanager
def _running(programs: Path, command: list[str], env: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run a program, and end it and all that it started."""
    env, program = marked(env), str(programs / command[0])
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [program, *command[1:]], env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        ),
    ):
        try:
            yield
        finally:
            end_all(env)
