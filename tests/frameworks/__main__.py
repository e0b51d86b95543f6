"""`python -m tests.frameworks`: run the case study, and write it into docs/frameworks.md.

Trainings of small models in both frameworks run side by side, since those in a simulator mostly wait for its next look.
The server's memory is measured after them. What measures time has the machine for itself, at the end.
"""

import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console

from flstore_core.client import FLStore
from loadgen.run.machine import machine
from services.local.running import running
from tests.frameworks import accuracy, memory, overhead
from tests.frameworks.accuracy import Case, Learned
from tests.frameworks.environments import ROOT, environment, work_folder
from tests.frameworks.memory import Peaks
from tests.frameworks.pages import PAGE
from tests.frameworks.programs import FRAMEWORKS, Framework
from tests.frameworks.quickstart import Recorded, run_quickstart
from tests.frameworks.report import image, plotted, section
from tests.frameworks.steps import Steps, side_by_side
from tests.frameworks.study import Study, shortfalls
from tests.truth.page import replaced

CACHE = "1GiB"


def main() -> None:
    steps = Steps(Console(stderr=True))
    side_by_side([partial(environment, framework.environment) for framework in FRAMEWORKS])
    steps.tell("the frameworks' environments are there")
    with tempfile.TemporaryDirectory(dir=work_folder()) as folder:
        try:
            studies = _study(Path(folder), steps)
        except KeyboardInterrupt:
            steps.stop()  # their threads are joined when this process ends
            raise
    for study in studies:
        (PAGE.parent / image(study)).write_text(plotted(study), encoding="utf-8")
    text = section(studies, steps.problems, machine("make frameworks"))
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), "frameworks", text), encoding="utf-8")
    for study in studies:
        for each in shortfalls(study):
            steps.tell(each)
    steps.tell(f"written into {PAGE.relative_to(ROOT)}")


def _study(folder: Path, steps: Steps) -> list[Study]:
    """Measure all frameworks beside one FLStore."""
    with running(f"{folder}/store", cache_size=CACHE, log=folder / "flstore.log") as (url, _):
        with ThreadPoolExecutor() as pool:
            recorded = [pool.submit(_record, framework, folder, steps) for framework in FRAMEWORKS]
            trained = [pool.submit(_train, framework, url, steps) for framework in FRAMEWORKS]
        _forget(url)
        overheads = [overhead.measure_all(framework, url, steps) for framework in FRAMEWORKS]
        return [
            Study(framework, apps.result(), *both.result(), overheads=times)
            for framework, apps, both, times in zip(FRAMEWORKS, recorded, trained, overheads, strict=True)
        ]


def _record(framework: Framework, folder: Path, steps: Steps) -> Recorded | None:
    app = partial(run_quickstart, framework, folder / framework.name)
    return steps.take(f"{framework.name}, its quick-start app", app)


def _train(framework: Framework, url: str, steps: Steps) -> tuple[Mapping[Case, Learned], Peaks]:
    learned = accuracy.learn(framework, url, steps)
    return learned, memory.measure(framework, url, steps)


def _forget(url: str) -> None:
    """Delete all jobs: their gigabytes are not needed any more."""
    store = FLStore(url)
    for job in store.jobs():
        store.delete_job(job.job)


if __name__ == "__main__":
    main()
