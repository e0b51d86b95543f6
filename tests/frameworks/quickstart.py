"""The frameworks' quick-start apps, with the page's lines in them, run as they are deployed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flstore_core.client import FLStore
from services.local.running import running
from tests.frameworks.deployment import federation
from tests.frameworks.environments import environment
from tests.frameworks.pages import changed_app, changed_lines, difference
from tests.frameworks.programs import Framework
from tests.frameworks.simulation import simulate

JOB = "quickstart"


@dataclass(frozen=True)
class Recorded:
    """What the store has of a run."""

    changed_lines: int
    rounds: int
    updates: int
    nbytes: int
    """Of the updates."""


def run_quickstart(framework: Framework, folder: Path) -> Recorded:
    """Run a framework's app to its end beside a real FLStore."""
    shown = difference(framework.name)
    folder.mkdir(parents=True)
    with running(f"{folder}/store", log=folder / "flstore.log") as (url, _):
        app = changed_app(f"{framework.name.lower()}_quickstart", shown, url, folder)
        _RUN[framework.name](environment(framework.environment), app, folder)
        store = FLStore(url)
        rounds = [store.round(JOB, info.round) for info in store.rounds(JOB) if info.committed]
    members = [member for each in rounds for member in each.members]
    return Recorded(changed_lines(shown), len(rounds), len(members), sum(member.nbytes for member in members))


def _run_flower(programs: Path, app: Path, folder: Path) -> None:
    with federation(programs, folder, nodes=2) as flower:
        (status,) = flower.run(app)
    if status != "finished:completed":
        raise RuntimeError(f"the app of Flower is {status}; {folder} has the logs")


_RUN: Mapping[str, Callable[[Path, Path, Path], object]] = {"Flower": _run_flower, "NVFlare": simulate}
