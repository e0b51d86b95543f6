"""How long processes live, how many there are, and that none holds up another."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flstore_core.errors import InvalidParameters, InvalidProgram, OperationCancelled, RunTooLong, Unavailable
from flstore_core.ids import JobId
from services.predictor.confined.launch import Launcher
from services.predictor.confined.pool import IDLE_S, Pool
from services.predictor.confined.process import ConfinedProcess
from tests.fakes.clock import Clock
from tests.predictor.confined.probing import BOUNDS, COMMAND, leased, pool, probe, probing, program, running
from tests.waiting import alive, eventually


def pid_of(process: ConfinedProcess) -> int:
    return int(probe(process, "pid"))


def clocked(clock: Clock, most: int = 4) -> Pool:
    return Pool(probing(), BOUNDS, 2**20, most, clock)


def test_a_process_waits_for_the_next_request_of_its_program() -> None:
    processes = pool()
    with leased(processes) as process:
        first = pid_of(process)
    with leased(processes) as process:
        assert pid_of(process) == first


def test_each_job_and_each_program_has_a_process_of_its_own() -> None:
    processes = pool()
    pids = []
    for each in (program("one"), program("other"), program("one", sha256="b")):
        with processes.lease(each, running()) as process:
            pids.append(pid_of(process))
    assert len(set(pids)) == 3


def test_two_requests_of_one_program_have_a_process_each() -> None:
    processes = pool()
    with leased(processes) as one, leased(processes) as other:
        assert pid_of(one) != pid_of(other)


def test_past_the_most_that_there_may_be_the_one_that_waits_for_the_longest_makes_room() -> None:
    processes = pool(most=2)
    pids = {}
    for job in ("a", "b", "c"):
        with leased(processes, job) as process:
            pids[job] = pid_of(process)
    eventually(lambda: not alive(pids["a"]))
    assert alive(pids["b"])


def test_where_all_are_busy_a_request_waits_for_its_turn() -> None:
    processes = pool(most=1)
    told: list[str] = []

    def ask() -> None:
        with leased(processes, "other") as process:
            told.append(probe(process, "alive"))

    with leased(processes) as process:
        other = threading.Thread(target=ask)
        other.start()
        assert probe(process, "alive") == "yes"
        assert told == []
    other.join()
    assert told == ["yes"]


def test_one_that_waits_for_its_turn_gives_up_past_its_time() -> None:
    processes = pool(most=1)
    with leased(processes), pytest.raises(RunTooLong), processes.lease(program("other"), running(0.0)):
        pass


def test_a_busy_process_holds_up_no_other_job_and_is_ended_when_its_run_is_cancelled() -> None:
    processes, endless = pool(), running()
    pids: list[int] = []
    ready = threading.Event()
    errors: list[BaseException] = []

    def hang() -> None:
        try:
            with processes.lease(program("slow"), endless) as process:
                pids.append(pid_of(process))
                ready.set()
                probe(process, "sleep")
        except OperationCancelled as error:
            errors.append(error)

    slow = threading.Thread(target=hang)
    slow.start()
    assert ready.wait(60.0)
    with leased(processes, "quick") as process:
        assert probe(process, "alive") == "yes"
    endless.cancel()
    slow.join()
    assert len(errors) == 1
    eventually(lambda: not alive(pids[0]))


def test_a_run_past_its_time_is_ended_in_the_middle_of_what_it_does() -> None:
    processes = pool()
    with leased(processes) as process:
        pid = pid_of(process)
    with pytest.raises(RunTooLong), processes.lease(program("job"), running(0.3)) as process:
        probe(process, "sleep")
    eventually(lambda: not alive(pid))


def test_a_deleted_jobs_processes_are_ended_busy_ones_after_their_request() -> None:
    processes = pool()
    with leased(processes) as idle:
        waiting = pid_of(idle)
    with leased(processes) as first, leased(processes) as second:
        busy = {pid_of(first), pid_of(second)} - {waiting}
        processes.forget(JobId("job"))
        assert probe(second, "alive") == "yes"
    eventually(lambda: not any(map(alive, busy | {waiting})))


def test_a_process_that_nobody_uses_is_ended_after_a_while() -> None:
    clock = Clock()
    processes = clocked(clock)
    with leased(processes) as process:
        pid = pid_of(process)
    clock.now += IDLE_S - 1
    processes.tidy()
    assert alive(pid)
    clock.now += 1
    processes.tidy()
    eventually(lambda: not alive(pid))


def test_a_process_that_has_used_half_its_processor_time_is_not_used_again() -> None:
    processes = pool()
    with leased(processes) as process:
        pid = pid_of(process)
        process.seconds = BOUNDS.seconds
    eventually(lambda: not alive(pid))
    with leased(processes) as process:
        assert pid_of(process) != pid


def test_a_dead_zygote_is_replaced() -> None:
    launcher = Launcher(COMMAND)
    processes = pool(launcher=launcher)
    with leased(processes) as process:
        pid = pid_of(process)
        os.kill(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
        with pytest.raises((Unavailable, InvalidProgram)):
            probe(process, "sleep")
    eventually(lambda: not alive(pid))
    with leased(processes) as process:
        assert probe(process, "alive") == "yes"
    processes.close()


def test_a_zygote_that_does_not_start_is_told() -> None:
    processes = pool(launcher=Launcher((sys.executable, "-c", "")))
    with pytest.raises(Unavailable, match="did not start; the log says why"), leased(processes):
        pass
    processes.close()


def test_a_process_that_does_not_begin_is_told() -> None:
    forks_nothing = (
        "import os, socket, sys\n"
        "control = socket.socket(fileno=int(sys.argv[1]))\n"
        'control.send(b\'{"unfiltered": "", "unready": ""}\')\n'
        "while (asked := socket.recv_fds(control, 4096, 2))[0]:\n"
        "    for fd in asked[1]:\n"
        "        os.close(fd)\n"
    )
    processes = pool(launcher=Launcher((sys.executable, "-c", forks_nothing)))
    with pytest.raises(Unavailable, match="no process for the program could be made"), leased(processes):
        pass
    processes.close()


@pytest.mark.parametrize(("reason", "level"), [("", "INFO"), ("the kernel accepts no filter", "WARNING")])
def test_the_start_says_whether_system_calls_are_filtered(
    caplog: pytest.LogCaptureFixture, reason: str, level: str
) -> None:
    hello = f'{{"unfiltered": "{reason}", "unready": ""}}'
    says = f"import socket, sys\nsocket.socket(fileno=int(sys.argv[1])).send(b'{hello}')"
    launcher = Launcher((sys.executable, "-c", says))
    with caplog.at_level("INFO"):
        launcher.start()
    launcher.close()
    (record,) = caplog.records
    assert (record.levelname, "without a filter" in record.message) == (level, bool(reason))


def test_a_predictor_does_not_start_on_a_device_that_is_not_there() -> None:
    launcher = Launcher(COMMAND, "meta")
    with pytest.raises(InvalidParameters, match=r"FLSTORE_DEVICE is meta: PyTorch .* cannot compute on meta"):
        launcher.start()


def test_all_processes_end_with_the_predictor_however_it_ends() -> None:
    dies = (
        "from tests.predictor.confined.probing import *\nimport os\n"
        "with leased(pool()) as process:\n    print(probe(process, 'pid'), flush=True)\n    os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", dies], capture_output=True, check=False)
    pid = int(done.stdout)
    eventually(lambda: not alive(pid))
