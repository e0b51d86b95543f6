"""Puts the same load on FLStore and both baselines, one after the other, each over its own part of one store."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadgen.run.events import Event
from loadgen.run.runner import Plan
from loadgen.run.session import Session, Watch, run_session
from loadgen.systems.deployments import TITLES, Deployment, System, started


@dataclass(frozen=True)
class Comparison:
    """The systems' deployment, the load on each, and facts for the report."""

    deployment: Deployment
    plan: Plan
    events: Callable[[], Iterable[Event]]
    """Returns the events, once for each system."""
    about: Mapping[str, Any]

    def run(self, systems: Sequence[System] = tuple(System), watches: Iterable[Watch] = ()) -> list[dict[str, Any]]:
        """Return each system's results, in order."""
        return [self.run_one(system, watches) for system in systems]

    def run_one(self, system: System, watches: Iterable[Watch] = ()) -> dict[str, Any]:
        """Start a system, put the load on it, stop it, and return the results."""
        network = {"store": self.deployment.store_network, "cache": self.deployment.cache_network}
        about = {**self.about, "system": TITLES[system], "network": network}
        with started(system, self.deployment) as url:
            return run_session(Session(url, self.plan, about), self.events(), watches)
