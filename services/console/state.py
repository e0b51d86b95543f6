"""What a console holds while it runs."""

from dataclasses import dataclass
from functools import partial

from flstore_core.client.async_client import AsyncFLStore
from services.console.session import Connect, Sessions
from services.console.settings import Settings

SILENCE_S = 20.0
"""Seconds of silence after which the gateway counts as away."""


@dataclass(frozen=True, slots=True)
class State:
    """Settings and sessions; everything else is asked of the gateway anew."""

    settings: Settings
    sessions: Sessions


def create_state(settings: Settings, connect: Connect | None = None) -> State:
    """Return the state of a console; by default it reaches the gateway over HTTP."""
    by_http = partial(AsyncFLStore, settings.gateway_url, timeout=SILENCE_S, retries=1)
    return State(settings, Sessions(connect or by_http, settings.session_seconds))
