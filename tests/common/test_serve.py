"""Processes that serve: how they begin and, above all, how they end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from flstore_core.errors import InvalidParameters
from services.common.serve import Listen, ready_message, start

ROOT = str(Path(__file__).parents[2])
BASE = {**os.environ, "PYTHONPATH": ROOT, "FLSTORE_SHARD_ID": "s", "OPENBLAS_NUM_THREADS": "1"}


@contextmanager
def served(
    idle_s: float = 0.0, env: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str, socket.socket]]:
    """Run the tiny program on an inherited socket; yield process, address and our end of its lifeline, once ready."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20.0)
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listening:
        descriptors = (listening.fileno(), theirs.fileno())
        names = dict(zip(("FLSTORE_LISTEN_FD", "FLSTORE_LIFELINE_FD"), map(str, descriptors), strict=True))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.tiny_shard"],
            env={**BASE, **names, "FLSTORE_IDLE_SECONDS": str(idle_s), **(env or {})},
            pass_fds=descriptors,
        )
        theirs.close()
        try:
            assert ours.recv(16) == ready_message(0)
            yield process, f"http://127.0.0.1:{listening.getsockname()[1]}", ours
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_exit_code_zero(number: signal.Signals) -> None:
    with served() as (process, url, _), httpx.Client() as client:
        assert client.get(url).is_success  # and leaves a connection open
        process.send_signal(number)
        assert process.wait(3.0) == 0


def test_the_end_of_the_lifeline_ends_it() -> None:
    with served() as (process, url, lifeline):
        assert httpx.get(url).is_success
        lifeline.close()
        assert process.wait(3.0) == 0


def test_the_end_of_the_lifeline_ends_even_what_does_not_leave() -> None:
    with served(env={"TINY_STUBBORN": "yes", "FLSTORE_GRACE_SECONDS": "1"}) as (process, _, lifeline):
        lifeline.close()
        assert process.wait(10.0) == 1


def test_it_leaves_by_its_own_wish() -> None:
    with served(idle_s=0.2) as (process, _, _):
        assert process.wait(10.0) == 0


def test_settings_come_from_the_environment() -> None:
    env = {"FLSTORE_HOST": "0.0.0.0", "FLSTORE_PORT": "9000", "FLSTORE_LISTEN_FD": "3", "FLSTORE_LIFELINE_FD": "4"}
    assert Listen.from_env(env) == Listen("0.0.0.0", 9000, 3, 4, 5)
    assert Listen.from_env({}) == Listen()
    with pytest.raises(InvalidParameters, match="FLSTORE_PORT: 'http' is not usable; use a whole number"):
        Listen.from_env({"FLSTORE_PORT": "http"})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            InvalidParameters("FLSTORE_POLICY: policy 'LRU' does not exist"),
            "FLSTORE_POLICY: policy 'LRU' does not exist",
        ),
        (OSError(98, "Address already in use"), "[Errno 98] Address already in use"),
    ],
)
def test_what_keeps_a_service_from_starting_is_one_line(error: Exception, said: str) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        start(main)
    assert ended.value.code == f"error: {said}"


@pytest.mark.parametrize("service", ["gateway", "placement", "predictor", "shard"])
def test_every_service_starts_so(service: str) -> None:
    source = (Path(__file__).parents[2] / "services" / service / "__main__.py").read_text()
    assert source.endswith('if __name__ == "__main__":\n    start(main)\n')
