"""Settings of the console, read from an environment that is handed in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flstore_core.errors import InvalidParameters
from services.common.prefix import checked_prefix
from services.common.settings import Variables, read, some_seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """What the console needs to know."""

    gateway_url: str = "http://127.0.0.1:8080"
    """FLSTORE_URL: the gateway, as the console reaches it."""
    public_url: str = ""
    """FLSTORE_CONSOLE_API_URL: the gateway, as users write it in the lines that they copy; `gateway_url` if empty."""
    grafana_url: str = ""
    """FLSTORE_CONSOLE_GRAFANA_URL: Grafana, which pages link to; without it there is no link."""
    root_path: str = ""
    """FLSTORE_ROOT_PATH: path below which a proxy has the console, such as `/console`, if it does not send
    X-Forwarded-Prefix."""
    session_seconds: float = 12 * 3600.0
    """FLSTORE_CONSOLE_SESSION_SECONDS: a session ends after so long without a look: a working day."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Return the settings of an environment; raise `InvalidParameters` naming a variable that does not fit."""
        variables: Variables = {
            "FLSTORE_URL": ("gateway_url", _address),
            "FLSTORE_CONSOLE_API_URL": ("public_url", _address),
            "FLSTORE_CONSOLE_GRAFANA_URL": ("grafana_url", _address),
            "FLSTORE_ROOT_PATH": ("root_path", checked_prefix),
            "FLSTORE_CONSOLE_SESSION_SECONDS": ("session_seconds", some_seconds),
        }
        return cls(**read(env, variables))

    @property
    def api_url(self) -> str:
        return self.public_url or self.gateway_url


def _address(url: str) -> str:
    """Return an HTTP address without a closing slash. A link leads there, so it may be nothing but HTTP."""
    if not re.fullmatch(r"https?://[^/\s\"'<>]+(/[^\s\"'<>]*)?", url):
        raise InvalidParameters(f"{url!r} is no address; use one such as http://127.0.0.1:8080")
    return url.rstrip("/")
