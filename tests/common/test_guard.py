"""The guard: bodies reach the app whole and checked, long ones as they come; what is open stays open."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from flstore_core.errors import ProofRefused
from services.common.guard import Guard
from services.common.proof import LONG, PROOF_HEADER, Keys, new_key

KEYS = Keys.parse(new_key())
DISCONNECT: Message = {"type": "http.disconnect"}


class App:
    """Takes whatever it receives, until the caller is gone."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while not self.received or self.received[-1] != DISCONNECT:
            try:
                self.received.append(await receive())
            except ProofRefused as error:
                self.error = error
                return

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.received)


def pieces(*bodies: bytes) -> list[Message]:
    last = len(bodies) - 1
    return [{"type": "http.request", "body": body, "more_body": index < last} for index, body in enumerate(bodies)]


async def ask(
    app: App, messages: list[Message], headers: dict[str, str], path: str = "/v1/x", keys: Keys = KEYS
) -> list[Message]:
    """Send a request through a guard, and return what is answered in place of the app."""
    waiting, sent = [*messages, DISCONNECT], []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "PUT",
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    await Guard(app, keys)(scope, receive, send)
    return sent


def signed(body: bytes) -> dict[str, str]:
    return KEYS.sign("PUT", "/v1/x", [body])


async def test_a_short_body_comes_in_one_piece_after_it_is_checked() -> None:
    app = App()
    assert await ask(app, pieces(b"bo", b"", b"dy"), signed(b"body")) == []
    assert app.received == [*pieces(b"body"), DISCONNECT]


async def test_a_wrong_short_body_never_reaches_the_app() -> None:
    app = App()
    start, _ = await ask(app, pieces(b"bo", b"DY"), signed(b"body"))
    assert (start["status"], app.received) == (403, [])


async def test_a_long_body_comes_as_it_is_sent() -> None:
    app, body = App(), bytes(range(256)) * (LONG // 256)
    parts = pieces(body[:1000], body[1000:])
    assert await ask(app, parts, signed(body)) == []
    assert app.received == [*parts, DISCONNECT]


@pytest.mark.parametrize(
    "change", [lambda body: body[:-1] + b"x", lambda body: body[:-1], lambda body: body + b"x", lambda _: b""]
)
async def test_the_end_of_a_wrong_long_body_is_withheld(change: Callable[[bytes], bytes]) -> None:
    app, body = App(), bytes(LONG)
    wrong = change(body)
    assert await ask(app, pieces(wrong[:1000], wrong[1000:]), signed(body)) == []
    assert app.error is not None
    assert app.body == wrong[:1000]


async def test_a_caller_that_goes_away_leaves_no_body() -> None:
    app = App()
    assert await ask(app, [], signed(b"body")) == []
    assert app.received == [DISCONNECT]
    half: list[Any] = [{"type": "http.request", "body": b"bo", "more_body": True}]
    app = App()
    await ask(app, half, signed(b"body"))
    assert app.received == [DISCONNECT]


@pytest.mark.parametrize(
    ("path", "keys"), [("/healthz", KEYS), ("/readyz", KEYS), ("/metrics", KEYS), ("/v1/x", Keys())]
)
async def test_what_is_open_needs_no_proof(path: str, keys: Keys) -> None:
    app = App()
    assert await ask(app, pieces(b"body"), {}, path, keys) == []
    assert app.body == b"body"


async def test_a_refusal_says_why_and_that_a_new_proof_may_help() -> None:
    start, body = await ask(App(), pieces(b""), {})
    headers = dict(start["headers"])
    assert start["status"] == 403
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"retry-after"] == b"1"
    assert PROOF_HEADER.encode() in body["body"]


async def test_what_is_no_http_request_passes() -> None:
    app = App()

    async def receive() -> Message:
        return DISCONNECT

    async def send(_: Message) -> None:
        """Nothing is sent."""

    await Guard(app, KEYS)({"type": "lifespan"}, receive, send)
    assert app.received == [DISCONNECT]


class TestAnUpgradeFromVersion1:
    """What is accepted while services that sign nothing are being replaced."""

    keys = replace(KEYS, admit_unsigned=True)

    async def test_a_request_without_a_proof_is_answered(self) -> None:
        app = App()
        assert await ask(app, pieces(b"body"), {}, keys=self.keys) == []
        assert app.body == b"body"

    @pytest.mark.parametrize("proof", ["", "1 2 3 4 5", "of another deployment"])
    async def test_a_wrong_proof_is_refused_all_the_same(self, proof: str) -> None:
        app = App()
        start, _ = await ask(app, pieces(b"body"), {PROOF_HEADER: proof}, keys=self.keys)
        assert (start["status"], app.received) == (403, [])

    async def test_the_log_says_that_everybody_is_let_in(self, caplog: pytest.LogCaptureFixture) -> None:
        Guard(App(), KEYS)
        assert not caplog.records
        Guard(App(), self.keys)
        assert "unset FLSTORE_ADMIT_UNSIGNED" in caplog.text
