"""A framework's server that is killed in the middle of a round, as a real process, and started again."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from flstore_core.errors import NotFound
from tests.integrations.door import Door
from tests.integrations.models import model, towards
from tests.waiting import eventually

PROGRAM = """
import sys, threading
from flstore_core.client import FLStore
from flstore_core.integrations.recorder import Limits, Recorder
from tests.integrations.models import model, towards

recording = Recorder(FLStore(sys.argv[1]), "j", advice=None, limits=Limits(deadline_s=60.0))
recording.begin(model(0.0))
for number in (1, 2):
    for client in range(3):
        recording.update(number, f"c{client}", towards(10 + number, client), {"loss": 0.5}, weight=3)
    if number < int(sys.argv[2]):
        recording.close(number, model(10 + number), {"accuracy": 0.9})
threading.Event().wait()
"""


@contextmanager
def training(behind: Door, closed: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a training that closes the rounds before one, and then hangs in that one."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, behind.url, str(closed)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def clients_in(behind: Door) -> set[str]:
    """Return whose updates round 2 has."""
    try:
        return {str(member.client) for member in behind.store.round("j", 2).members}
    except NotFound:
        return set()


@pytest.mark.parametrize(
    ("closed", "held", "stored"),
    [
        (2, "nothing", {"c0", "c1", "c2"}),
        (2, "/v1/jobs/j/rounds/2/clients/c1", {"c0", "c2"}),
        (3, "/v1/jobs/j/rounds/2/aggregate", {"c0", "c1", "c2"}),
    ],
    ids=["in a round", "in an upload", "in an aggregate"],
)
def test_a_server_that_is_killed_and_started_again_records_nothing_wrong(
    behind: Door, closed: int, held: str, stored: set[str]
) -> None:
    behind.held = lambda request: request.url.path == held
    with training(behind, closed) as process:
        eventually(lambda: clients_in(behind) == stored, 60.0)
        eventually(lambda: held == "nothing" or ("PUT", held) in behind.seen, 60.0)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    behind.held = lambda request: False
    resumed = behind.recorder(advice=None, resume=True)
    resumed.begin(model(11.0))  # what the framework had saved
    updates = {f"c{client}": towards(20, client) for client in range(1, 4)}
    for client, update in updates.items():
        resumed.update(1, client, update, {"loss": 0.4}, weight=4)
    mean = {name: np.mean([update[name] for update in updates.values()], axis=0) for name in ("w", "b", "steps")}
    resumed.close(1, mean, {"accuracy": 0.95})
    report = resumed.finish()
    assert report.is_whole, report.line()
    behind.let_go.set()  # what the dead process was sending arrives now
    store = behind.store
    assert [(info.round, info.committed, info.clients) for info in store.rounds("j")] == [
        (0, True, 0), (1, True, 3), (2, True, 3)
    ]  # fmt: skip
    second = store.round("j", 2)
    assert [str(member.client) for member in second.members] == ["c1", "c2", "c3"]
    assert [member.metrics["loss"] for member in second.members] == [0.4] * 3
    assert (second.base, second.metrics) == (1, {"accuracy": 0.95})
    assert np.array_equal(store.get_update("j", 2, "c1")["w"], updates["c1"]["w"])
    assert np.array_equal(store.get_aggregate("j", 1)["w"], model(11.0)["w"])
    assert store.run("j", "provenance", round=2, verify=True).result.generations[0].verified is True
