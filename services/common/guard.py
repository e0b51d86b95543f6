"""The guard before a backend's routes: it refuses requests without a proof that a service of this deployment made them.

Probes and metrics need no proof. The kubelet and Prometheus have no key, and what they read names no job.
"""

import logging
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flstore_core.errors import ProofRefused
from flstore_core.shard.protocol import MESSAGE_HEADER
from services.common.logs import QUIET_PATHS
from services.common.problems import from_error
from services.common.proof import PROOF_HEADER, UNSIGNED, Keys, Proof, Verifier

logger = logging.getLogger(__name__)

OPEN_PATHS = QUIET_PATHS
"""Everybody who reaches the address may read these: whether the service lives, and its counters."""


class Guard:
    """ASGI middleware. Put it behind the request log, before everything that looks at a request."""

    def __init__(self, app: ASGIApp, keys: Keys, now: Callable[[], float] = time.time) -> None:
        self._app = app
        self._verifier = Verifier(keys, now) if keys.secrets else None
        self._admits_unsigned = keys.admit_unsigned
        if self._verifier and self._admits_unsigned:
            logger.warning(
                "requests without a proof are accepted; once no gateway of version 0.1.0 runs any more, unset %s",
                UNSIGNED,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._verifier is None or scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if self._admits_unsigned and PROOF_HEADER not in Headers(scope=scope):
            await self._app(scope, receive, send)
            return
        try:
            checked = await _check(self._verifier, scope, receive)
        except ProofRefused as error:
            await from_error(Request(scope), error)(scope, receive, send)
            return
        await self._app(scope, checked, send)


async def _check(verifier: Verifier, scope: Scope, receive: Receive) -> Receive:
    """Check a request's proof, and return a `receive` that checks its body.

    A short body is received and checked here, before the app is called. A long one is checked while the app receives
    it, so that it need not be in memory twice.
    """
    headers = Headers(scope=scope)
    proof = verifier.check(
        headers.get(PROOF_HEADER, ""),
        scope["method"],
        scope["path"],
        scope["query_string"].decode("latin-1"),
        headers.get(MESSAGE_HEADER, ""),
    )
    checked = _checking(proof, receive)
    return checked if proof.covers_long_body else await _receive_whole(checked, receive)


def _checking(proof: Proof, receive: Receive) -> Receive:
    """Return a `receive` that raises `ProofRefused` instead of the last piece of a body that is not the signed one."""

    async def checked() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            proof.digest.update(message.get("body", b""))
            if not message.get("more_body", False):
                proof.check_body()
        return message

    return checked


async def _receive_whole(checked: Receive, receive: Receive) -> Receive:
    """Receive a whole body, and return a `receive` that yields it as one message and then whatever comes next."""
    pieces = []
    while (message := await checked())["type"] == "http.request":
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            message = {"type": "http.request", "body": b"".join(pieces), "more_body": False}
            break
    first = [message]

    async def handed_on() -> Message:
        return first.pop() if first else await receive()

    return handed_on
