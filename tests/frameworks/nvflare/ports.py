"""Ports for the simulator's sites that nobody else takes.

The simulator asks the system for a free port, gives it back at once, and names it to a site, which listens on it
seconds later. Whatever makes a connection meanwhile may be given the same port. Then the site does not come, and the
training waits for it without end. The system gives out no ports below a certain one; these here are of those.
"""

import random
import socket
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from nvflare.private.fed.app.deployer import simulator_deployer
from nvflare.private.fed.app.simulator import simulator_runner

LOWEST = 10_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def keep_ports() -> None:
    """Have simulators of this process take their ports from those that the system does not give out."""
    free, lock = _free(), threading.Lock()

    def take(number: int) -> list[int]:
        with lock:  # sites are started by threads
            return [next(free) for _ in range(number)]

    for module in (simulator_deployer, simulator_runner):
        module.get_open_ports = take


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
