"""Growth of latency, memory and cost with jobs, clients and rounds, as exponents of power laws."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from flstore_core import layout
from flstore_core.generations import Generations
from flstore_core.ids import JobId
from flstore_core.records import Round, to_bytes
from flstore_core.storage import open_store
from flstore_core.storage.documents import load_json
from loadgen.experiments.base import Cell, Measured, Outcome, Report
from loadgen.experiments.history import History, asked_again
from loadgen.experiments.power_law import power_law
from loadgen.experiments.tables import table
from loadgen.pictures.base import Axis, Picture
from loadgen.systems.deployments import flstore_in, store_folder
from loadgen.systems.processes import descendants_rss

MODEL_BYTES = 64 * 2**10
TIMES = 8
BASE: Mapping[str, int] = {"jobs": 1, "clients": 3, "rounds": 1}
SHOWN: Mapping[str, str] = {
    "upload_ms": "an upload, ms",
    "commit_ms": "an aggregate and the commit, ms",
    "statistics_ms": "similarity of a round, ms",
    "weights_ms": "norms of a round, ms",
    "metadata_ms": "metrics of all rounds, ms",
    "rss_mb": "memory of all processes, MB",
    "request_udollars": "a similarity, $ / 1e6",
    "upload_udollars": "an upload, $ / 1e6",
}


class Growth:
    """One dimension of `BASE` grows; the others stay."""

    def __init__(self, dimension: str) -> None:
        self.name = f"growth-{dimension}"
        self.title = f"Growth with the number of {dimension}"
        self._dimension = dimension

    def measure(self, cell: Cell) -> Measured:
        with tempfile.TemporaryDirectory(prefix="flstore-growth-") as folder:
            return _measure({**BASE, **cell.values}, folder)

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        x = [float(each.values[self._dimension]) for each in outcomes]
        rows, curves = [], {}
        for key, label in SHOWN.items():
            y = [max(1e-9, each.measured[key]) for each in outcomes]
            law = power_law(x, y)
            rows.append([label, *y, law.exponent, law.r2])
            curves[label] = [(size, value / y[0]) for size, value in zip(x, y, strict=True)]
        heads = [f"{count:g} {self._dimension}" for count in x]
        text = table(["", *heads, "exponent", "R²"], rows)
        across = Axis(self._dimension, logarithmic=True)
        upwards = Axis(f"times as much as with the fewest {self._dimension}", logarithmic=True)
        picture = Picture(self.title, curves, across, upwards)
        return Report(text + f"\n![Growth]({self.name}.svg)\n", {self.name: picture})


def _measure(size: Mapping[str, int], folder: str) -> Measured:
    first_round = History(MODEL_BYTES, size["jobs"], 1, size["clients"], {"slices": 1})
    whole = History(MODEL_BYTES, size["jobs"], size["rounds"], size["clients"], {"slices": 1})
    with flstore_in(folder, 1, "256MiB") as url:
        stored = first_round.woken(url).store(url)
        if size["rounds"] == 1:
            return _looked_at(url, whole, stored)
    # Thousands of rounds are copied in the store, and only the newest one is uploaded, into a system started anew.
    add_history(store_folder(folder), "job-0", size["rounds"] - 1)
    with flstore_in(folder, 1, "256MiB") as url:
        return _looked_at(url, whole, whole.woken(url).store_newest(url))


def _looked_at(url: str, history: History, stored: Mapping[str, Measured]) -> Measured:
    """Return the figures of `SHOWN`: of requests sent now, and of the uploads whose results are `stored`."""
    similar = asked_again(url, history.ask("cosine-similarity"), TIMES)
    costs = stored["costs"]
    return {
        "upload_ms": stored["uploads"]["mean_ms"],
        "commit_ms": stored["commits"]["mean_ms"],
        "statistics_ms": similar["mean_ms"],
        "weights_ms": asked_again(url, history.ask("norms"), TIMES)["mean_ms"],
        "metadata_ms": asked_again(url, history.all_rounds("metrics"), TIMES)["mean_ms"],
        "rss_mb": descendants_rss() / 1e6,
        "request_udollars": 1e6 * similar["dollars"],
        "upload_udollars": 1e6 * costs["ingest"] / max(1, stored["uploads"]["count"]),
    }


def add_history(store: Path, job: str, rounds: int) -> None:
    """Copy round 0 of `job` to rounds 1 to `rounds` - 1, in a store that no process has open."""
    opened = open_store(str(store), {})
    home = Generations(opened).read(JobId(job)).home
    first = Round.from_json(load_json(opened, layout.round_record(home, 0)))
    folder = store / layout.rounds_prefix(home)
    origin = next(each for each in folder.iterdir() if each.is_dir())
    for number in range(1, rounds):
        shutil.copytree(origin, folder / f"{number:08d}", copy_function=_link)
        path = store / layout.round_record(home, number)
        path.unlink()
        path.write_bytes(to_bytes(replace(first, number=number, base=number - 1).to_json()))
    opened.close()


def _link(source: str, target: str) -> None:
    """Copy a file as a hard link: stored objects are never written to."""
    Path(target).hardlink_to(source)
