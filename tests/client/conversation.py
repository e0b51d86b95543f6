"""An exchange driven by outcomes that a test has written down: the API without a transport."""

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from flstore_core.client.exchange import Exchange, NoResponse, Request, Response
from flstore_core.errors import PROBLEM_TYPE

T = TypeVar("T")


@dataclass(frozen=True)
class Sent:
    """What an exchange asked its transport to send."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    delay_s: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ok(data: Any = None, **headers: str) -> Response:
    """Return a successful response that holds JSON."""
    return Response(200, {name.replace("_", "-"): text for name, text in headers.items()}, body_of(data))


def problem(status: int, code: str, **fields: Any) -> Response:
    """Return an unsuccessful response that holds a problem."""
    return Response(status, {}, body_of({"type": PROBLEM_TYPE + code, "code": code, "status": status, **fields}))


def body_of(data: Any) -> bytearray:
    return bytearray(json.dumps(data).encode())


def converse(exchange: Exchange[T], *outcomes: Response | NoResponse, sent: list[Sent] | None = None) -> T:
    """Answer each request by the next outcome; append the requests to `sent` and return the exchange's answer."""
    requests = [] if sent is None else sent
    try:
        requests.append(_sent(next(exchange)))
        for outcome in outcomes:
            requests.append(_sent(exchange.send(outcome)))
    except StopIteration as end:
        answer: T = end.value
        return answer
    raise AssertionError(f"the exchange makes a request more than there are outcomes: {requests[-1]}")


def _sent(request: Request) -> Sent:
    body = b"".join(request.body.chunks()) if request.body else b""
    assert request.body is None or request.body.nbytes == len(body)
    return Sent(request.method, request.path, dict(request.headers), body, request.delay_s)
