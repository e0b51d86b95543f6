"""The gateways that a client may be sent to. Its operator names them; no message from outside can add one.

Whoever writes a client's messages could otherwise have it send its update, and a ticket with it, wherever they like.
Without a name there is no gateway that a client may be sent to.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from flstore_core.client import FLStore
from flstore_core.errors import Forbidden, InvalidParameters

VARIABLE = "FLSTORE_URL"
"""The environment variable that names a gateway to this machine's clients."""
_PORTS: Mapping[str | None, int] = {"http": 80, "https": 443}


class ForeignHost(Forbidden):
    code, title = "foreign-host", "The operator of this client has not allowed that address"


@dataclass(frozen=True)
class Hosts:
    """Addresses of gateways, in one form each."""

    urls: frozenset[str] = frozenset()

    @classmethod
    def named(cls, *texts: str | None, env: Mapping[str, str] = os.environ) -> Self:
        """Return the gateways that settings name, several in one text with spaces or commas between them.

        The environment variable `FLSTORE_URL` names one as well.

        Raises:
            InvalidParameters: if one is not the URL of a gateway.
        """
        return cls(frozenset(_plain(url) for text in (*texts, env.get(VARIABLE)) for url in _split(text)))

    def require(self, url: str) -> None:
        """Raise `ForeignHost` unless `url` is one of these gateways."""
        if _plain(url) not in self.urls:
            known = ", ".join(sorted(self.urls)) or "none"
            raise ForeignHost(
                f"the server of the training names {url!r:.200}, and this client may be sent to {known}; its operator "
                f"allows an address by {VARIABLE}, or in the client's configuration"
            )

    def open(self, url: str, ticket: str, *, timeout_s: float, retries: int) -> FLStore:
        """Return a client of a gateway, which shows a ticket and nothing else; raise as `require` does."""
        self.require(url)
        return FLStore(url, ticket, timeout=timeout_s, retries=retries)


def _split(text: str | None) -> Iterable[str]:
    return (text or "").replace(",", " ").split()


def _plain(url: str) -> str:
    """Return a URL in the one form that equal addresses share."""
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise InvalidParameters(f"{url!r:.200} is not the URL of a gateway") from error
    if parts.scheme not in _PORTS or not parts.host or parts.auth or parts.query or parts.fragment:
        raise InvalidParameters(f"{url!r:.200} is not the URL of a gateway; write one such as http://127.0.0.1:8080")
    port = parts.port or _PORTS[parts.scheme]
    return f"{parts.scheme}://{parts.host.lower()}:{port}{(parts.path or '').rstrip('/')}"
