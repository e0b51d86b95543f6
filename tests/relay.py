"""A small HTTP relay on loopback: a forward proxy with a password, or a reverse proxy with TLS and a path."""

import base64
import http.client
import select
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "transfer-encoding"}


@dataclass(frozen=True)
class Seen:
    """One request as it reached the relay."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass
class Rules:
    """What a relay does with a request.

    Attributes:
        upstream: where everything goes; empty if each request names its host, as to a forward proxy.
        credentials: `user:password` without which a request is answered 407.
        below: path that is taken off; what does not begin with it is answered 404.
        seen: every request, in order.
    """

    upstream: str = ""
    credentials: str = ""
    below: str = ""
    seen: list[Seen] = field(default_factory=list)

    def address(self, host: str) -> tuple[str, int]:
        parts = urlsplit(self.upstream or f"//{host}")
        assert parts.hostname
        return parts.hostname, parts.port or 80


@dataclass(frozen=True)
class Relay:
    """A relay that runs."""

    url: str
    rules: Rules

    @property
    def seen(self) -> list[Seen]:
        return self.rules.seen


@contextmanager
def relay(rules: Rules, certificate: ssl.SSLContext | None = None) -> Iterator[Relay]:
    """Run a relay on a free port; with a certificate it speaks TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"rules": rules}))
    server.daemon_threads = True
    if certificate:
        server.socket = certificate.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Relay(f"{'https' if certificate else 'http'}://localhost:{server.server_port}", rules)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rules: Rules

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ssl.SSLError, ConnectionError):  # a client that does not trust the certificate hangs up
            super().handle()

    def do_CONNECT(self) -> None:
        if not self._admit():
            return
        with socket.create_connection(self.rules.address(self.path)) as upstream:
            self.send_response(200)
            self.end_headers()
            _tunnel(self.connection, upstream)
        self.close_connection = True

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self._admit():
            return
        parts = urlsplit(self.path)
        path = parts._replace(scheme="", netloc="").geturl()
        if not path.startswith(self.rules.below):
            self._answer(404)
            return
        headers = {name: text for name, text in self.headers.items() if name.lower() not in HOP_BY_HOP}
        if self.rules.below:
            headers["X-Forwarded-Prefix"] = self.rules.below
        upstream = http.client.HTTPConnection(*self.rules.address(parts.netloc), timeout=20.0)
        upstream.request(self.command, path.removeprefix(self.rules.below), body, headers)
        response = upstream.getresponse()
        self._answer(response.status, response.read(), dict(response.getheaders()))
        upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _relay  # noqa: N815

    def _admit(self) -> bool:
        """Note the request; answer 407 and return False if it lacks the credentials."""
        headers = {name.lower(): text for name, text in self.headers.items()}
        self.rules.seen.append(Seen(self.command, self.path, headers))
        wanted = "Basic " + base64.b64encode(self.rules.credentials.encode()).decode()
        if self.rules.credentials and headers.get("proxy-authorization") != wanted:
            self._answer(407)
            return False
        return True

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, text in (headers or {"Content-Length": "0"}).items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)


def _tunnel(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until one side ends."""
    while True:
        ready, _, _ = select.select([one, other], [], [], 20.0)
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)
        if not ready:
            return
