"""`python -m tests.frameworks`: run the case study, and write it into docs/frameworks.md.

Trainings of small models in both frameworks run side by side, since those in a simulator mostly wait for its next look,
and those without one fill the gaps. A framework's server's memory is measured after its trainings. What measures time
has the machine for itself, at the end.
"""

import signal
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from flstore_core.client import FLStore
from loadgen.pictures.files import save
from loadgen.run.machine import machine
from services.local.running import running
from tests.frameworks import accuracy, memory, overhead
from tests.frameworks.environments import ROOT, environment, work_folder
from tests.frameworks.pages import PAGE
from tests.frameworks.programs import FRAMEWORKS, Framework
from tests.frameworks.quickstart import Recorded, run_quickstart
from tests.frameworks.report import image, pictured, section
from tests.frameworks.steps import Steps, side_by_side
from tests.frameworks.study import Study, merged, shortfalls
from tests.truth.page import replaced


def main() -> None:
    steps = Steps(Console(stderr=True))
    signal.signal(signal.SIGINT, partial(_interrupt, steps))
    side_by_side([partial(environment, framework.environment) for framework in FRAMEWORKS])
    steps.tell("the frameworks' environments are there")
    with tempfile.TemporaryDirectory(dir=work_folder()) as folder:
        studies = _study(Path(folder), steps)
    for study in studies:
        save(pictured(study), PAGE.parent / "images", image(study))
    text = section(studies, steps.problems, machine("make frameworks"))
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), "frameworks", text), encoding="utf-8")
    for study in studies:
        for each in shortfalls(study):
            steps.tell(each)
    steps.tell(f"written into {PAGE.relative_to(ROOT)}")


def _interrupt(steps: Steps, *_: object) -> None:
    """End what runs in threads, which are waited for, before this one goes on to its end."""
    steps.stop()
    raise KeyboardInterrupt


def _study(folder: Path, steps: Steps) -> list[Study]:
    """Measure all frameworks beside one FLStore."""
    with running(f"{folder}/store", log=folder / "flstore.log") as (url, _):
        deployed = [partial(_train, framework, url, folder, steps) for framework in FRAMEWORKS]
        uneven = [partial(_train_uneven, framework, url, steps) for framework in FRAMEWORKS if framework.light]
        studies = merged(side_by_side([*deployed, *uneven]))
        _forget(url)
        overheads = {
            study.name: overhead.measure_all(study.framework, url, steps)
            for study in reversed(studies)  # NVFlare's rounds are the longest: for those there is time
        }
        return [replace(study, overheads=overheads[study.name]) for study in studies]


def _train(framework: Framework, url: str, folder: Path, steps: Steps) -> Study:
    """Measure all of a framework but time."""

    def quick_start() -> Recorded:
        return run_quickstart(framework, Path(tempfile.mkdtemp(dir=folder), framework.name))

    recorded = steps.take(f"{framework.name}, its quick-start app", quick_start)
    learned = accuracy.learn(framework, url, steps, [*accuracy.even_cases()])
    return Study(framework, recorded, learned, memory.measure(framework, url, steps))


def _train_uneven(framework: Framework, url: str, steps: Steps) -> Study:
    """Train what needs no simulator."""
    return Study(framework, learned=accuracy.learn(framework, url, steps, [*accuracy.uneven_cases()]))


def _forget(url: str) -> None:
    """Delete all jobs: their gigabytes are not needed any more."""
    store = FLStore(url)
    for job in store.jobs():
        store.delete_job(job.job)


if __name__ == "__main__":
    main()
