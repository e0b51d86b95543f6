"""Asks for something again and again, as long as somebody looks and it is worth it."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from flstore_core.errors import FLStoreError, NotFound, Unauthorized
from services.console import links
from services.console.parts import states
from services.console.parts.elements import block, text

EVERY_S = 2.0
"""Seconds from one look to the next."""


def refresh(look: Callable[[], Awaitable[bool]], every_s: float = EVERY_S) -> ui.timer:
    """Call `look` every few seconds until it returns False: what it shows does not change any more.

    While the gateway is away, what was shown stays, a line says that it is old, and it is asked for again. A viewer
    whose token is not valid any more comes to the login; what was deleted is said to be gone. A page that was closed
    asks for nothing.
    """
    stale = block("p", "stale").props("role=status")
    stale.set_visibility(False)
    with stale:
        text("The gateway does not answer at the moment; this is what it said last.")

    async def turn() -> None:
        try:
            goes_on = await look()
        except Unauthorized:
            ui.navigate.to(links.LOGIN)
        except NotFound as error:
            timer.cancel()
            states.trouble(error)
        except FLStoreError:
            stale.set_visibility(True)
        else:
            stale.set_visibility(False)
            if not goes_on:
                timer.cancel()

    timer = ui.timer(every_s, turn, immediate=False)
    return timer
