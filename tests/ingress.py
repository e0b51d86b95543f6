"""An ingress on a real socket of loopback: it hands requests on, and now and then answers in a service's place.

Envoy, nginx and the like do so while a route is made anew, while a pod is replaced, or by their own rules. `PLAYED` has
what they say, byte by byte.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from tests.fakes.wire import Reply, Sent

Answer = Callable[[Sent], Reply]


def said(status: str, body: str = "", **headers: str) -> bytes:
    """Return a whole response."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    lines = [
        f"HTTP/1.1 {status}",
        *(f"{name}: {text}" for name, text in ({"Content-Length": len(body), "Connection": "close"} | named).items()),
    ]
    return ("\r\n".join([*lines, "", ""]) + body).encode()


PLAYED: Mapping[str, bytes] = {
    "route being remade": said("404 Not Found"),
    "page not found": said("404 Not Found", "404 page not found", Content_Type="text/plain; charset=utf-8"),
    "another host": said("421 Misdirected Request"),
    "upstream lost": said("502 Bad Gateway", "<html>502 Bad Gateway</html>", Content_Type="text/html"),
    "no upstream": said("503 Service Unavailable", "no healthy upstream", Content_Type="text/plain"),
    "upstream slow": said("504 Gateway Timeout", "upstream request timeout", Content_Type="text/plain"),
    "own failure": said("500 Internal Server Error", "<html>oops</html>", Content_Type="text/html"),
    "own problem": said(
        "404 Not Found", '{"type": "about:blank", "code": "not-found"}', Content_Type="application/problem+json"
    ),
    "permanent redirect": said("308 Permanent Redirect", Location="https://localhost:1/"),
    "page of its own": said("200 OK", "<html>Welcome</html>", Content_Type="text/html"),
    "nothing at all": said("200 OK"),
    "half an answer": said("200 OK", '{"jobs":', Content_Type="application/json", Content_Length="900"),
    "half a chunk": said("200 OK", "4\r\n{", Content_Type="application/json", Transfer_Encoding="chunked").replace(
        b"Content-Length: 4\r\n", b""
    ),
    "half a document": said("200 OK", '{"jobs":', Content_Type="application/json"),
    "half a problem": said("404 Not Found", '{"type": "urn:flst', Content_Type="application/problem+json"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "hung up": b"",
}
"""What something in between says in place of a service."""


@dataclass
class Ingress:
    """Where it listens, what it answers by itself, and what it saw."""

    url: str = ""
    hand_on: Answer = lambda sent: Reply(status=404)
    """The service behind it; a request of the host `h` comes to it as one to `http://h`."""
    says: bytes | None = None
    """What it answers by itself; None for nothing."""
    times: int = 0
    """How often in a row it does so before it hands a request on."""
    spared: Callable[[Sent], bool] = lambda sent: False
    """Which requests are always handed on."""
    seen: list[Sent] = field(default_factory=list)
    _left: dict[tuple[str, str], int] = field(default_factory=dict)

    def play(self, says: bytes, times: int = 1) -> None:
        """From now on answer each request `times` times by itself before it is handed on."""
        self.says, self.times, self._left = says, times, {}

    def answer(self, sent: Sent) -> Reply | bytes:
        self.seen.append(sent)
        if self.says is None or self.spared(sent):
            return self.hand_on(sent)
        left = self._left.setdefault((sent.method, sent.url), self.times)
        self._left[sent.method, sent.url] = left - 1 if left else self.times
        return self.says if left else self.hand_on(sent)

    def wire(self, answer: Answer) -> urllib3.PoolManager:
        """Return connections through this ingress to hosts of any name; `answer` answers for those services."""
        before = self.hand_on
        hosts: set[str] = set()

        def route(sent: Sent) -> Reply:
            return answer(sent) if sent.url.split("/")[2] in hosts else before(sent)

        self.hand_on = route
        return _Through(self.url, hosts)


class _Through(urllib3.PoolManager):
    """Connects to one address, whatever host a URL names, and remembers the hosts."""

    def __init__(self, url: str, hosts: set[str]) -> None:
        super().__init__(retries=False, timeout=10.0)
        self._url = url
        self._hosts = hosts

    def request(self, method: str, url: str, **given: Any) -> urllib3.BaseHTTPResponse:  # type: ignore[override]
        host, _, path = url.removeprefix("http://").partition("/")
        self._hosts.add(host)
        headers = {**(given.pop("headers", None) or {}), "Host": host}
        return super().request(method, f"{self._url}/{path}", headers=headers, **given)


@contextmanager
def ingress() -> Iterator[Ingress]:
    """Serve an `Ingress` on a free port."""
    playing = Ingress()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"playing": playing}))
    server.daemon_threads = True
    playing.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield playing
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def forward_to(url: str) -> Answer:
    """Return what hands requests on to a server at `url`."""
    http = urllib3.PoolManager(retries=False, timeout=10.0)

    def answer(sent: Sent) -> Reply:
        response = http.request(sent.method, url + sent.path, headers=sent.headers, body=sent.body, redirect=False)
        return Reply(response.data, response.status, dict(response.headers))

    return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    playing: Ingress

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.playing.answer(
            Sent(self.command, f"http://{self.headers['Host']}{self.path}", dict(self.headers), body)
        )
        if isinstance(answer, bytes):
            self.wfile.write(answer)
            self.close_connection = True
            return
        assert isinstance(answer.body, bytes)
        self.send_response(answer.status)
        for name, text in ({"Content-Length": str(len(answer.body))} | dict(answer.headers)).items():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815
