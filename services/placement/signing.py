"""Signs what the controller sends to backends and to other controllers."""

from collections.abc import Generator

import httpx

from services.common.proof import Keys


class Signed(httpx.Auth):
    """Adds the proof that a service of this deployment makes the request."""

    requires_request_body = True

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        target = request.url.raw_path.decode("ascii")
        request.headers.update(self._keys.sign(request.method, target, [request.content]))
        yield request
