"""Ports for the simulator's sites on which nobody else listens, not even for a moment.

The simulator has the system name a free port for each site: it listens on one, and closes it again at once. Then it
starts the site's process, and connects to the port until the site listens there. Ten threads do so side by side, and
each process that one of them starts is at first a copy of the simulator, with all that is open in it: with the port
that another thread listens on just then. That thread closes the port, connects, and has the copy in place of the site.
When the copy is gone, the connection is reset, the simulator takes the site for done, and the training waits for its
results without end.

The ports here are never listened on. They are below those that the system gives out, so that no other process is given
one before the site listens on it.

NVFlare runs its simulator in a process of its own. Run as a program, this module starts it there, with these ports.
"""

import os
import random
import runpy
import socket
import sys
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

from nvflare.job_config import fed_job_config
from nvflare.private.fed.app.deployer import simulator_deployer
from nvflare.private.fed.app.simulator import simulator_runner

LOWEST = 10_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def keep_ports() -> None:
    """Have simulators of this process, and those that it starts, take their ports from these."""
    free, lock = _free(), threading.Lock()

    def take(number: int) -> list[int]:
        with lock:  # sites are started by threads
            return [next(free) for _ in range(number)]

    for module in (simulator_deployer, simulator_runner):
        module.get_open_ports = take
    started = f"{sys.executable} -P {__file__}"  # NVFlare adds `-m` and its simulator's module
    fed_job_config.sys = SimpleNamespace(**{**vars(sys), "executable": started})


def _free() -> Iterator[int]:
    """Yield free ports, each once until all were; another process begins elsewhere."""
    many = max(1_000, int(RANGE.read_text().split()[0]) - LOWEST)
    for number in count(random.randrange(many)):
        port = LOWEST + number % many
        if _is_free(port):
            yield port


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("", port))
        except OSError:
            return False
        return True


def _run_module() -> None:
    """Run what comes after `-m` on the command line, as Python does."""
    sys.path.insert(0, os.getcwd())
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    keep_ports()
    _run_module()
