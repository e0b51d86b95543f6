"""`python -m tests.frameworks`: run the case study, and write it into docs/frameworks.md."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from flstore_core.client import FLStore
from loadgen.experiments.page import machine
from services.local.running import running
from tests.frameworks import accuracy, memory, overhead
from tests.frameworks.environments import ROOT
from tests.frameworks.pages import PAGE
from tests.frameworks.programs import FRAMEWORKS, Framework
from tests.frameworks.quickstart import run_quickstart
from tests.frameworks.report import Study, image, plotted, section
from tests.truth.page import replaced

CACHE = "1GiB"


def main() -> None:
    console = Console(stderr=True)
    studies = []
    with tempfile.TemporaryDirectory(dir=_folder()) as folder:
        for framework in FRAMEWORKS:
            studies.append(study(framework, Path(folder, framework.name), console))
            (PAGE.parent / image(studies[-1])).write_text(plotted(studies[-1]), encoding="utf-8")
    text = replaced(PAGE.read_text(encoding="utf-8"), "frameworks", section(studies, machine("make frameworks")))
    PAGE.write_text(text, encoding="utf-8")
    console.print(f"written into {PAGE.relative_to(ROOT)}")


def study(framework: Framework, folder: Path, console: Console) -> Study:
    """Measure all of one framework, beside an FLStore of its own."""
    console.print(f"{framework.name}: its quick-start app …")
    recorded = run_quickstart(framework, folder / "quickstart")
    with running(f"{folder}/store", cache_size=CACHE, log=folder / "flstore.log") as (url, _):
        console.print(f"{framework.name}: time per round …")
        overheads = overhead.measure_all(framework, url)
        _forget(url)
        console.print(f"{framework.name}: accuracy, and memory beside it …")
        with ThreadPoolExecutor(1) as beside:
            peaks = beside.submit(memory.measure, framework, url)
            learned = accuracy.learn(framework, url)
    return Study(framework.name, framework.version, framework.how, recorded, learned, overheads, peaks.result())


def _forget(url: str) -> None:
    """Delete all jobs: their gigabytes are not needed any more."""
    store = FLStore(url)
    for job in store.jobs():
        store.delete_job(job.job)


def _folder() -> Path:
    """Return a folder on the disk of the sources; that of temporary files is often in memory."""
    folder = ROOT / "build" / "frameworks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
