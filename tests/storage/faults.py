"""A loopback TCP proxy that misbehaves on demand, so that failures are met on the wire."""

import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

Address = tuple[str, int]
Fault = Callable[[socket.socket, Address], None]
"""What to do with one accepted connection to the server at the address."""

_SLOW_DOWN = b"<Error><Code>SlowDown</Code></Error>"


class FaultyProxy:
    """Gives each new connection the next of `faults`, and passes it through when none is left."""

    def __init__(self, target: str, faults: Iterable[Fault]) -> None:
        parts = urlsplit(target)
        assert parts.hostname
        assert parts.port
        self._target: Address = (parts.hostname, parts.port)
        self._faults = deque(faults)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.connections = 0
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def unused_faults(self) -> int:
        return len(self._faults)

    def start(self) -> None:
        self._spawn(self._accept)

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                fault = self._faults.popleft() if self._faults else pass_through
                self._open.append(client)
                self._spawn(self._serve, client, fault)

    def _serve(self, client: socket.socket, fault: Fault) -> None:
        with client, suppress(OSError):
            fault(client, self._target)
        self._open.remove(client)

    def _spawn(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()


@contextmanager
def faulty(target: str, *faults: Fault) -> Iterator[FaultyProxy]:
    """Run a `FaultyProxy` in front of the HTTP server at `target`."""
    proxy = FaultyProxy(target, faults)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def pass_through(client: socket.socket, target: Address) -> None:
    """Relay both ways until either side closes."""
    _relay(client, target, limit=None)


def reset_after(count: int) -> Fault:
    """Relay `count` bytes of the answer, then reset the connection."""
    return lambda client, target: _relay(client, target, limit=count)


def answer_503(client: socket.socket, target: Address) -> None:
    """Read a whole request and answer SlowDown without asking the server."""
    _read_request(client)
    client.sendall(
        b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(_SLOW_DOWN), _SLOW_DOWN)
    )


def never_ending(data: bytes, etag: str) -> Fault:
    """Answer with all bytes of a range, in chunks, and reset the connection before saying that they are all."""

    def fault(client: socket.socket, _: Address) -> None:
        _read_request(client)
        head = f'HTTP/1.1 206 Partial Content\r\nETag: "{etag}"\r\nTransfer-Encoding: chunked\r\n\r\n'
        client.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(data), data))
        client.shutdown(socket.SHUT_WR)

    return fault


def deny_bucket(client: socket.socket, _: Address) -> None:
    """Say of every object that its bucket does not exist, and of the bucket that it does."""
    path = _read_request(client).split(b" ", 2)[1].partition(b"?")[0]
    status, code = (
        (b"404 Not Found", b"NoSuchBucket") if path.count(b"/") > 1 else (b"409 Conflict", b"BucketAlreadyExists")
    )
    body = b"<Error><Code>%s</Code></Error>" % code
    client.sendall(
        b"HTTP/1.1 %s\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
        % (status, len(body), body)
    )


def lose_answer(client: socket.socket, target: Address) -> None:
    """Let the server do its work, then reset the connection without a word."""
    _relay(client, target, limit=0)


def stay_silent(client: socket.socket, target: Address) -> None:
    """Read and never answer, until the client gives up."""
    while client.recv(1 << 16):
        pass


def _relay(client: socket.socket, target: Address, limit: int | None) -> None:
    with socket.create_connection(target) as server:
        forward = threading.Thread(target=_copy, args=(client, server), daemon=True)
        forward.start()
        left = limit
        while data := server.recv(1 << 16):
            if left is not None:
                data = data[:left]
                left -= len(data)
            client.sendall(data)
            if left == 0:
                _reset_on_close(client)
                break
        with suppress(OSError):
            client.shutdown(socket.SHUT_RD)  # ends the copying; a socket being read would outlive its close
        forward.join(10)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _read_request(client: socket.socket) -> bytes:
    """Read a whole request and return its head."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    missing = length - len(body)
    while missing > 0:
        missing -= len(client.recv(1 << 16))
    return head


def _reset_on_close(client: socket.socket) -> None:
    """Make the coming close send RST instead of FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
