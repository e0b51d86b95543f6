"""The frame that every view is drawn in, and what becomes of a view that cannot be drawn.

a page is asked for ──▶ frame ──▶ view.show ── within PATIENCE_S ──▶ the page is sent whole
                                     │      ── later ──▶ the page is sent, says that it waits, and fills by itself
                                     │── the token is not valid (any more) ──▶ login, and back here
                                     └── any other error ──▶ what is wrong, what to do, and a way on
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nicegui import ui
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.errors import FLStoreError, Unauthorized
from flstore_core.ids import decode
from flstore_core.presentation.names import legible
from services.common.logs import current_request_id
from services.console import links
from services.console.pages import NAVIGATION, View
from services.console.parts import states, theme
from services.console.parts.elements import block, link, text
from services.console.parts.page import prefix
from services.console.state import State
from services.console.views import API_URL

logger = logging.getLogger(__name__)

PATIENCE_S = 1.0
"""Seconds that a page waits for its view before it is sent without."""
STYLE: Final = (Path(__file__).parent / "console.css").read_text()


async def show(state: State, view: View, request: Request) -> Response | None:
    """Draw a page; return where to go instead, if the viewer has to log in first."""
    gateway = state.sessions.viewer(request)
    state.sessions.keep_page(request, ui.context.client)
    parameters = {**request.query_params, **request.path_params, API_URL: state.settings.api_url}
    title = view.title.format_map({name: decode(each) for name, each in request.path_params.items()})
    body = frame(state, request, title)
    login = login_address(request)
    drawing = asyncio.create_task(_fill(body, view, gateway, parameters, login), name=f"view {view.path}")
    finished, _ = await asyncio.wait({drawing}, timeout=PATIENCE_S)
    return RedirectResponse(f"{prefix(request)}{login}") if finished and drawing.result() else None


async def _fill(body: ui.element, view: View, gateway: AsyncFLStore, parameters: Mapping[str, str], login: str) -> bool:
    """Draw the view into the body, or what is wrong; return whether the viewer has to log in."""
    with body:
        waiting = states.loading()
        try:
            await view.show(gateway, parameters)
        except Unauthorized:
            ui.navigate.to(login)
            return True
        except FLStoreError as error:
            body.clear()
            states.trouble(error)
        except Exception:  # a defect of one view: the frame stays, and the log has what a viewer has no use for
            logger.exception("the view %s failed", view.path)
            body.clear()
            states.defect(current_request_id())
        else:
            waiting.delete()
    return False


def frame(state: State, request: Request, title: str) -> ui.element:
    """Draw header and navigation, and return the element for what the page is about."""
    ui.page_title(f"{legible(title)} · FLStore")
    ui.add_head_html(theme.GROUND[theme.is_dark(request)] + theme.FIRST_LOOK)
    ui.add_css(STYLE)
    ui.dark_mode(theme.is_dark(request))
    with ui.header().classes("bar"):
        link("FLStore", links.OVERVIEW, "brand")
        with block("nav").props('aria-label="views"'):
            for each in NAVIGATION:
                entry = link(each.title, each.path)
                if each.path == request.scope["path"].removeprefix(prefix(request)):
                    entry.props["aria-current"] = "page"
            if state.settings.grafana_url:
                link("Grafana", state.settings.grafana_url)
        _choices(state, request)
    body = block("main", "page")
    ui.skip_link("Skip to the content", target=body)
    with body:
        text(title, "h1")
    return body


def address(request: Request) -> str:
    """Return the address of a page within the console."""
    path = request.scope["path"].removeprefix(prefix(request))
    return links.with_query(path, dict(request.query_params))


def login_address(request: Request) -> str:
    return links.with_query(links.LOGIN, {"to": address(request)})


def _choices(state: State, request: Request) -> None:
    """Draw the switch between light and dark and, for who has logged in, the way out."""
    other = theme.LIGHT if theme.is_dark(request) else theme.DARK
    with block("div", "choices"):
        link(other.capitalize(), links.with_query(f"/theme/{other}", {"to": address(request)}), "choice")
        if state.sessions.knows(request):
            with block("form").props(f'method=post action="{prefix(request)}/logout"'):
                text("Log out", "button", "choice").props("type=submit")
