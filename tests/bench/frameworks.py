"""What recording adds to a round of Flower, how long advice takes, and what a client adds to a server by reference."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flstore_core.client import FLStore
from flstore_core.integrations.recorder import Limits, Recorder
from services.local.running import running
from tests.bench.resnet import Arrays
from tests.bench.row import Row, seconds
from tests.bench.system import models
from tests.frameworks import memory, overhead
from tests.frameworks.programs import FRAMEWORKS
from tests.waiting import eventually

ROUNDS = 7
PATIENT = Limits(deadline_s=60.0)
STORED_S = 300.0
"""How long storing a round's updates may take, which is no part of what is measured."""


def rows() -> Iterator[Row]:
    """Ask for advice first, then train in Flower's simulation without FLStore and with it."""
    build = Path("build")  # on the disk of the sources: folders of temporary files are often in memory
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder, running(folder, log=Path(folder, "log")) as (url, _):
        yield _advice(url)
        yield _overhead(url)
        yield _memory(url)


def _advice(url: str) -> Row:
    base, updates = models()
    with FLStore(url) as store, Recorder(store, "advice", limits=PATIENT) as recorder:
        recorder.begin(base)
        times = [_advised(recorder, number, base, updates) for number in range(1, ROUNDS + 1)]
        advised = [store.round("advice", number).metrics["advice"] for number in range(1, ROUNDS)]
    problems = sum(bool(each["problem"]) for each in advised)
    note = f"{len(updates)} updates of ResNet18, all stored; slowest {max(times):.0f} ms, {problems} without advice"
    return Row("advice_ms", statistics.median(times), "ms", 50.0, note=note)


def _advised(recorder: Recorder, number: int, base: Arrays, updates: list[Arrays]) -> float:
    """Record a round, and return the milliseconds from its last update stored to the advice."""
    for index, arrays in enumerate(updates):
        recorder.update(number, f"client-{index}", arrays, weight=100 + index)
    eventually(lambda: recorder.report.updates == number * len(updates), STORED_S)
    taken = seconds(lambda: recorder.advise(number))
    recorder.close(number, base)
    return 1e3 * taken


def _overhead(url: str) -> Row:
    (flower,) = (each for each in FRAMEWORKS if each.name == "Flower")
    trained, bare = (overhead.measure(flower, url, training_s) for training_s in (overhead.TRAINING_S, 0.0))
    note = (
        f"{trained.without_s:.1f} s and {trained.with_s:.1f} s, of which clients wait {overhead.TRAINING_S / 2:g} to "
        f"{1.5 * overhead.TRAINING_S:g} s as if they trained elsewhere; messages alone {bare.without_s:.1f} s and "
        f"{bare.with_s:.1f} s ({bare.ratio:.2f} x), all on these cores"
    )
    return Row("flower_round_overhead", trained.ratio, "x", 1.10, note=note)


def _memory(url: str) -> Row:
    (flower,) = (each for each in FRAMEWORKS if each.name == "Flower")
    fewer, more = memory.CLIENTS[:2]
    peaks = {clients: memory.peak(flower, url, "reference", clients) for clients in (fewer, more)}
    note = ", ".join(f"{clients} clients {(peak or 0) / 1e6:.0f} MB" for clients, peak in peaks.items())
    each = (memory.per_client(peaks) or 0.0) / 1e6
    return Row("reference_server_rss_per_client", each, "MB", 1.0, note=f"at most, of updates of ResNet18: {note}")
