"""What `running` refuses before it starts anything, and what it hands to the processes."""

import errno
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from unittest.mock import Mock

import pytest

from flstore_core.errors import InvalidParameters, Unavailable
from services.local import running as module
from services.local.console import console_listening
from services.local.running import running
from services.local.sockets import url_of
from services.local.supervisor import Part


class Recorded:
    """A supervisor that starts nothing and remembers its parts."""

    parts: Sequence[Part] = ()
    log: IO[bytes] | None = None
    stopped = 0

    grace_s = 0.0

    def __init__(self, parts: Sequence[Part], log: IO[bytes] | None, grace_s: float) -> None:
        Recorded.parts, Recorded.log, Recorded.stopped, Recorded.grace_s = parts, log, 0, grace_s

    def start(self, within_s: float) -> None:
        """Start nothing."""

    def stop(self) -> None:
        Recorded.stopped += 1


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[Recorded]:
    monkeypatch.setattr(module, "Supervisor", Recorded)
    monkeypatch.setattr(module, "_is_ready", lambda _: True)
    return Recorded


def environment(part: str) -> Mapping[str, str]:
    return next(each.env for each in Recorded.parts if each.name == part)


def test_settings_reach_both_processes_and_the_gateway_knows_the_controller(
    recorded: type[Recorded], tmp_path: Path
) -> None:
    store = str(tmp_path / "store")
    with running(store, shards=3, cache_size="1MiB", policy="lru", idle_seconds=5, env={"A": "b"}) as (url, address):
        placement, gateway = recorded.parts
        assert (placement.module, gateway.module) == ("services.placement", "services.gateway")
        assert url == f"http://127.0.0.1:{gateway.listening.getsockname()[1]}"
        controller = f"http://127.0.0.1:{placement.listening.getsockname()[1]}"
        assert address == controller
    assert environment("placement") == {
        "A": "b",
        "FLSTORE_SERVICE_KEYS": environment("placement")["FLSTORE_SERVICE_KEYS"],
        "FLSTORE_STORE": store,
        "FLSTORE_SHARDS": "3",
        "FLSTORE_CACHE_BYTES": str(1 << 20),
        "FLSTORE_POLICY": "lru",
        "FLSTORE_IDLE_SECONDS": "5",
    }
    assert environment("gateway") == {**environment("placement"), "FLSTORE_PLACEMENT_URL": controller}


def test_a_path_prefix_wins_over_that_of_the_environment(recorded: type[Recorded], tmp_path: Path) -> None:
    for prefix, expected in ((None, "/env"), ("/fl", "/fl"), ("", "")):
        with running(str(tmp_path), root_path=prefix, env={"FLSTORE_ROOT_PATH": "/env"}):
            assert environment("gateway")["FLSTORE_ROOT_PATH"] == expected


def test_everything_is_stopped_and_closed_when_the_block_fails(recorded: type[Recorded], tmp_path: Path) -> None:
    block = running(str(tmp_path), log=tmp_path / "logs" / "log")
    block.__enter__()
    assert not block.__exit__(RuntimeError, RuntimeError("in the block"), None), "the error goes on"
    assert recorded.stopped == 1
    assert recorded.log is not None
    assert recorded.log.closed
    assert all(part.listening.fileno() == -1 for part in recorded.parts)


def test_a_gateway_that_does_not_become_ready_is_an_error(
    recorded: type[Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_is_ready", lambda _: False)
    monkeypatch.setattr(module, "READY_WITHIN_S", 0.0)
    with pytest.raises(Unavailable, match="the gateway was not ready within 0 s"), running(str(tmp_path)):
        pass
    assert recorded.stopped == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shards": 0}, "FLSTORE_SHARDS: 0 is not usable; use 1 to 1000"),
        ({"shards": 1001}, "FLSTORE_SHARDS: 1001 is not usable"),
        ({"cache_size": "plenty"}, "plenty"),
        ({"port": 70000}, "port 70000 is not usable; choose 0 to 65535"),
        ({"port": -1}, "port -1 is not usable"),
        ({"idle_seconds": float("nan")}, "FLSTORE_IDLE_SECONDS: 'nan' is not usable"),
        ({"idle_seconds": -1.0}, "FLSTORE_IDLE_SECONDS: '-1.0' is not usable"),
        ({"root_path": "fl"}, "FLSTORE_ROOT_PATH: 'fl' is not usable; begin with a slash"),
        ({"policy": "LRU"}, "FLSTORE_POLICY: policy 'LRU' does not exist; nearest: lru"),
    ],
)
def test_settings_that_are_not_usable_are_refused(
    recorded: type[Recorded], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    recorded.parts = ()
    with pytest.raises(InvalidParameters, match=message), running(str(tmp_path), **options):
        pass
    assert recorded.parts == ()


def test_a_log_that_cannot_be_written_is_refused(recorded: type[Recorded], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = tmp_path / "file" / "log"
    with pytest.raises(InvalidParameters, match="cannot be written"), running(str(tmp_path / "store"), log=log):
        pass


def test_a_port_in_use_is_named(recorded: type[Recorded], tmp_path: Path) -> None:
    recorded.parts = ()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(InvalidParameters, match=f"port {port} of 127.0.0.1 is in use"),
            running(str(tmp_path), port=port),
        ):
            pass
    assert recorded.parts == ()


def test_an_address_that_cannot_be_bound_says_why(
    recorded: type[Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("services.local.running.socket.create_server", refuse)
    message = "port 80 of 127.0.0.1 cannot be used: Permission denied"
    with pytest.raises(InvalidParameters, match=message), running(str(tmp_path), port=80):
        pass


@pytest.mark.parametrize(("grace", "killed_after"), [("5", 12.0), ("30", 62.0), ("1", 10.0)])
def test_no_part_is_killed_before_its_own_grace_and_its_backends_are_over(
    recorded: type[Recorded], tmp_path: Path, grace: str, killed_after: float
) -> None:
    with running(str(tmp_path), env={"FLSTORE_GRACE_SECONDS": grace}):
        assert recorded.grace_s == killed_after


@pytest.mark.parametrize(
    ("host", "reached"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "127.0.0.1")]
)
def test_the_gateway_alone_listens_at_the_host(
    recorded: type[Recorded], tmp_path: Path, host: str, reached: str
) -> None:
    with running(str(tmp_path), host=host) as addresses:
        placement, gateway = recorded.parts
        assert gateway.listening.getsockname()[0] == (reached if host == "localhost" else host)
        assert placement.listening.getsockname()[0] == "127.0.0.1"
        assert addresses.gateway.startswith(f"http://{reached}:")


@pytest.mark.parametrize(("bound", "url"), [("::", "http://[::1]:80"), ("fe80::1", "http://[fe80::1]:80")])
def test_an_ipv6_address_stands_in_brackets(bound: str, url: str) -> None:
    """Without a socket: not every machine has IPv6."""
    assert url_of(Mock(getsockname=lambda: (bound, 80, 0, 0))) == url


def test_a_host_that_is_not_ours_says_why(recorded: type[Recorded], tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidParameters, match=r"port 0 of 192\.0\.2\.1 cannot be used: "),
        running(str(tmp_path), host="192.0.2.1"),
    ):
        pass


@contextmanager
def answering(answer: bytes) -> Iterator[socket.socket]:
    """Serve one connection with these bytes, and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening
        thread.join()


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", False),
        (b"not HTTP at all\r\n\r\n", False),
        (b"", False),
    ],
)
def test_the_gateway_is_ready_when_its_probe_says_so(answer: bytes, ready: bool) -> None:
    with answering(answer) as listening:
        assert module._is_ready(listening) is ready


def test_an_address_that_nobody_serves_is_not_ready() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    listening.close()
    closed = Mock(getsockname=lambda: address)
    assert module._is_ready(closed) is False


def test_a_console_is_told_where_the_gateway_is_and_none_of_the_secrets(
    recorded: type[Recorded], tmp_path: Path
) -> None:
    env = {"A": "b", "FLSTORE_LOG_LEVEL": "DEBUG", "FLSTORE_TOKENS": '[{"token": "t"}]', "AWS_SECRET_ACCESS_KEY": "s"}
    with console_listening("127.0.0.1") as console, running(str(tmp_path), env=env, console=console) as (url, _):
        part = recorded.parts[-1]
        assert (part.module, part.listening, part.awaited) == ("services.console", console, False)
        assert part.env == {"A": "b", "FLSTORE_LOG_LEVEL": "DEBUG", "FLSTORE_URL": url}
        assert environment("gateway")["FLSTORE_CONSOLE_URL"] == f":{console.getsockname()[1]}"


def test_the_gateway_leads_to_the_console_that_the_environment_names(recorded: type[Recorded], tmp_path: Path) -> None:
    env = {"FLSTORE_CONSOLE_URL": "https://fl.example.org/console"}
    with console_listening("127.0.0.1") as console, running(str(tmp_path), env=env, console=console):
        assert environment("gateway")["FLSTORE_CONSOLE_URL"] == "https://fl.example.org/console"


def test_a_second_console_takes_another_port() -> None:
    with console_listening("127.0.0.1") as first, console_listening("127.0.0.1") as second:
        assert first.getsockname() != second.getsockname()
